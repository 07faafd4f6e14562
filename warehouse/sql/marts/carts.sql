-- Grain: one session that put something in its cart. Key: session_id.
-- A cart is abandoned when its shopper has not ordered within 24 hours of the last addition, unless everything was
-- taken out again. It is looked at again while it is open, when its session goes on, and when an order of its
-- shopper changes.
merge into marts.carts as target
using (
    with moved as (
        select session_id, event_time
        from marts.session_events
        where
            event_name in ('add_to_cart', 'remove_from_cart')
            and loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
    ),

    order_days as (
        select day
        from ops.touched_item_days
        union
        select to_date(lines.purchased_at)
        from marts.order_lines as lines
        inner join ops.touched_orders as orders on lines.order_id = orders.order_id
    ),

    touched as (
        select session_id, event_time as since
        from moved
        union
        select carts.session_id, carts.first_added_at
        from marts.carts as carts
        inner join (select distinct session_id from moved) as again on carts.session_id = again.session_id
        union
        select session_id, first_added_at
        from marts.carts
        where status = 'open'
        union
        select carts.session_id, carts.first_added_at
        from marts.carts as carts
        inner join ops.touched_shoppers as shoppers on carts.shopper_id = shoppers.shopper_id
        where carts.last_added_at >= (select dateadd(day, -2, min(day)) from order_days)
    ),

    moves as (
        select events.*, events.event_name = 'add_to_cart' as is_addition
        from marts.session_events as events
        inner join (select distinct session_id from touched) as sessions on events.session_id = sessions.session_id
        where
            events.event_name in ('add_to_cart', 'remove_from_cart')
            and events.event_time >= (select min(since) from touched)
    ),

    kept as (
        select session_id, count(*) as count_items
        from (
            select session_id, is_addition
            from moves
            qualify row_number() over (
                partition by session_id, item_id order by event_time desc, event_id desc, position desc
            ) = 1
        ) as newest
        where is_addition
        group by session_id
    ),

    filled as (
        select
            moves.session_id,
            max(moves.shopper_id) as shopper_id,
            min(moves.event_time) as first_added_at,
            max(moves.event_time) as last_added_at,
            max(coalesce(kept.count_items, 0)) as count_items,
            max(iff(moves.derived, 1, 0)) = 1 as derived
        from moves
        left join kept on moves.session_id = kept.session_id
        where moves.is_addition
        group by moves.session_id
    ),

    answered as (
        select filled.session_id, min(lines.purchased_at) as ordered_at
        from filled
        inner join marts.order_lines as lines
            on filled.shopper_id = lines.shopper_id
            and lines.purchased_at >= filled.first_added_at
            and lines.purchased_at <= dateadd(hour, 24, filled.last_added_at)
        group by filled.session_id
    )

    select
        filled.*,
        answered.ordered_at,
        case
            when answered.ordered_at is not null then 'ordered'
            when filled.count_items = 0 then 'emptied'
            when dateadd(hour, 24, filled.last_added_at) <= %(as_of)s::timestamp_ntz then 'abandoned'
            else 'open'
        end as status
    from filled
    left join answered on filled.session_id = answered.session_id
) as source
    on target.session_id = source.session_id
when matched then update set
    shopper_id = source.shopper_id,
    first_added_at = source.first_added_at,
    last_added_at = source.last_added_at,
    count_items = source.count_items,
    ordered_at = source.ordered_at,
    status = source.status,
    derived = source.derived
when not matched then insert (
    session_id, shopper_id, first_added_at, last_added_at, count_items, ordered_at, status, derived
) values (
    source.session_id, source.shopper_id, source.first_added_at, source.last_added_at, source.count_items,
    source.ordered_at, source.status, source.derived
);
