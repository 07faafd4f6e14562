-- Grain: one line of an order. Key: order_id, line_id. The newest delivery wins.
-- A line has the order system's id, or its place among the lines of its item in the order, as its delivery has them.
-- Without ids a delivery of an item of an order says all of it: lines that an older delivery had are taken away.
merge into staging.stg_purchases as target
using (
    with usable as (
        select *
        from raw.purchases
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and order_id is not null
            and item_id is not null
            and shopper_id is not null
            and purchased_at is not null
            and quantity > 0
            and price_cents >= 0
    ),

    loaded as (
        select
            *,
            order_line_id is not null as has_line_id,
            coalesce(
                order_line_id,
                item_id || '/' || row_number() over (
                    partition by order_id, item_id, order_line_id, loaded_at, delivery_id
                    order by usable.row_number, purchased_at, quantity desc, price_cents desc
                )::varchar
            ) as line_id
        from usable
    ),

    newest as (
        select *
        from loaded
        qualify row_number() over (
            partition by order_id, line_id order by loaded_at desc, purchased_at desc, quantity desc, price_cents desc
        ) = 1
    ),

    known as (
        select stg.order_id, stg.item_id, stg.line_id, coalesce(stg.has_line_id, false) as has_line_id, stg.loaded_at
        from staging.stg_purchases as stg
        inner join (select distinct order_id from loaded) as orders on stg.order_id = orders.order_id
    ),

    -- When anything was last said of an item of an order, and when all of it was.
    spoken as (
        select
            order_id,
            item_id,
            max(loaded_at) as spoken_at,
            max(iff(has_line_id, null, loaded_at)) as whole_at
        from (
            select order_id, item_id, has_line_id, loaded_at from loaded
            union all
            select order_id, item_id, has_line_id, loaded_at from known
        ) as of_both
        group by order_id, item_id
    ),

    valid as (
        select newest.*
        from newest
        inner join spoken on newest.order_id = spoken.order_id and newest.item_id = spoken.item_id
        where
            newest.loaded_at >= iff(newest.has_line_id, coalesce(spoken.whole_at, newest.loaded_at), spoken.spoken_at)
    ),

    superseded as (
        select known.order_id, known.line_id
        from known
        inner join spoken on known.order_id = spoken.order_id and known.item_id = spoken.item_id
        left join valid on known.order_id = valid.order_id and known.line_id = valid.line_id
        where
            valid.line_id is null
            and known.loaded_at < iff(known.has_line_id, spoken.whole_at, spoken.spoken_at)
    )

    select
        order_id,
        item_id,
        line_id,
        has_line_id,
        shopper_id,
        purchased_at,
        quantity,
        price_cents,
        loaded_at,
        false as is_superseded
    from valid
    union all
    select order_id, null, line_id, null, null, null, null, null, null, true
    from superseded
) as source
    on target.order_id = source.order_id and target.line_id = source.line_id
when matched and source.is_superseded then delete
when matched and source.loaded_at > target.loaded_at then update set
    item_id = source.item_id,
    has_line_id = source.has_line_id,
    shopper_id = source.shopper_id,
    purchased_at = source.purchased_at,
    quantity = source.quantity,
    price_cents = source.price_cents,
    loaded_at = source.loaded_at
when not matched and not source.is_superseded then insert (
    order_id, item_id, line_id, has_line_id, shopper_id, purchased_at, quantity, price_cents, loaded_at
)
values (
    source.order_id, source.item_id, source.line_id, source.has_line_id, source.shopper_id, source.purchased_at,
    source.quantity, source.price_cents, source.loaded_at
);
