-- Grain: an item of an order, all its lines together, refunds taken off. Key: order_id, item_id.
-- An order comes from the order system, or, until it is delivered from there, from its first purchase event: a page of
-- thanks that is loaded again reports it again. Orders that were touched in the window are computed anew from all that
-- staging knows of them.
merge into marts.order_lines as target
using (
    with touched as (
        select distinct order_id
        from ops.touched_orders
    ),

    delivered as (
        select
            stg.order_id,
            stg.item_id,
            max_by(stg.shopper_id, stg.loaded_at) as shopper_id,
            min(stg.purchased_at) as purchased_at,
            sum(stg.quantity) as quantity,
            sum(stg.price_cents) as price_cents,
            max(stg.loaded_at) as loaded_at
        from staging.stg_purchases as stg
        inner join touched on stg.order_id = touched.order_id
        group by stg.order_id, stg.item_id
    ),

    -- An event of an order is no older than the order, give or take a month: older events need not be searched.
    known_times as (
        select lines.purchased_at as known_at
        from marts.order_lines as lines
        inner join touched on lines.order_id = touched.order_id
        union all
        select purchased_at
        from delivered
        union all
        select event_time
        from staging.stg_events
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and event_name in ('purchase', 'refund')
    ),

    order_events as (
        select stg.transaction_id, stg.event_name, stg.shopper_id, stg.event_time, stg.items, stg.loaded_at
        from staging.stg_events as stg
        inner join touched on stg.transaction_id = touched.order_id
        where
            stg.event_time >= (select dateadd(day, -31, min(known_at)) from known_times)
            and stg.event_name in ('purchase', 'refund')
            and not stg.derived
    ),

    -- Of purchases the first event, with the rows of its time: a flat event has a row an item.
    told_first as (
        select *
        from order_events
        qualify
            event_name = 'refund'
            or event_time = min(event_time) over (partition by transaction_id, event_name)
    ),

    event_items as (
        select
            order_events.transaction_id as order_id,
            order_events.event_name,
            order_events.shopper_id,
            order_events.event_time,
            order_events.loaded_at,
            flat.value:item_id::varchar as item_id,
            coalesce(flat.value:quantity::int, 1) as quantity,
            flat.value:price_cents::int as unit_price_cents
        from told_first as order_events, lateral flatten(input => order_events.items) as flat
        where flat.value:item_id::varchar is not null and coalesce(flat.value:quantity::int, 1) > 0
    ),

    -- The catalogue's price at the time of the order, where the event has none; before the first version, the first.
    prices as (
        select
            history.item_id,
            history.price_cents,
            history.valid_to,
            iff(
                lag(history.valid_from) over (partition by history.item_id order by history.valid_from) is null,
                '1970-01-01'::timestamp_ntz,
                history.valid_from
            ) as valid_from
        from marts.item_history as history
        inner join (
            select distinct item_id
            from event_items
            where unit_price_cents is null
        ) as unpriced on history.item_id = unpriced.item_id
    ),

    reported as (
        select
            event_items.order_id,
            event_items.item_id,
            min(event_items.shopper_id) as shopper_id,
            min(event_items.event_time) as purchased_at,
            sum(event_items.quantity) as quantity,
            sum(
                event_items.quantity * coalesce(event_items.unit_price_cents, prices.price_cents, 0)
            ) as price_cents,
            max(event_items.loaded_at) as loaded_at
        from event_items
        left join prices
            on event_items.unit_price_cents is null
            and event_items.item_id = prices.item_id
            and event_items.event_time >= prices.valid_from
            and (prices.valid_to is null or event_items.event_time < prices.valid_to)
        left join (select distinct order_id from delivered) as known on event_items.order_id = known.order_id
        where event_items.event_name = 'purchase' and known.order_id is null
        group by event_items.order_id, event_items.item_id
    ),

    lines as (
        select order_id, item_id, shopper_id, purchased_at, quantity, price_cents, loaded_at from delivered
        union all
        select order_id, item_id, shopper_id, purchased_at, quantity, price_cents, loaded_at from reported
    ),

    refunds as (
        select order_id, item_id, sum(quantity) as quantity, max(loaded_at) as loaded_at
        from event_items
        where event_name = 'refund'
        group by order_id, item_id
    ),

    whole_refunds as (
        select transaction_id as order_id, max(loaded_at) as loaded_at
        from order_events
        where event_name = 'refund' and coalesce(array_size(items), 0) = 0
        group by transaction_id
    ),

    refunded as (
        select
            lines.*,
            iff(
                whole_refunds.order_id is not null,
                lines.quantity,
                least(lines.quantity, coalesce(refunds.quantity, 0))
            ) as refunded_quantity,
            greatest(
                lines.loaded_at,
                coalesce(refunds.loaded_at, lines.loaded_at),
                coalesce(whole_refunds.loaded_at, lines.loaded_at)
            ) as changed_at
        from lines
        left join refunds on lines.order_id = refunds.order_id and lines.item_id = refunds.item_id
        left join whole_refunds on lines.order_id = whole_refunds.order_id
    ),

    superseded as (
        select target.order_id, target.item_id
        from marts.order_lines as target
        inner join touched on target.order_id = touched.order_id
        left join lines on target.order_id = lines.order_id and target.item_id = lines.item_id
        where lines.order_id is null
    )

    select
        refunded.order_id,
        refunded.item_id,
        refunded.shopper_id,
        refunded.purchased_at,
        refunded.quantity - refunded.refunded_quantity as quantity,
        round(
            refunded.price_cents * (refunded.quantity - refunded.refunded_quantity) / refunded.quantity
        )::int as price_cents,
        refunded.refunded_quantity,
        refunded.changed_at as loaded_at,
        false as is_superseded
    from refunded
    union all
    select order_id, item_id, null, null, null, null, null, null, true
    from superseded
) as source
    on target.order_id = source.order_id and target.item_id = source.item_id
when matched and source.is_superseded then delete
when matched then update set
    shopper_id = source.shopper_id,
    purchased_at = source.purchased_at,
    quantity = source.quantity,
    price_cents = source.price_cents,
    refunded_quantity = source.refunded_quantity,
    loaded_at = source.loaded_at
when not matched then insert (
    order_id, item_id, shopper_id, purchased_at, quantity, price_cents, refunded_quantity, loaded_at
) values (
    source.order_id, source.item_id, source.shopper_id, source.purchased_at, source.quantity, source.price_cents,
    source.refunded_quantity, source.loaded_at
);
