-- Grain: one item on one day (UTC). Key: day, item_id. The days of items that the window touched, counted anew from
-- all their events and orders; a day on which nothing is left is deleted. derived: some of the events were.
merge into marts.item_popularity_daily as target
using (
    with touched as (
        select to_date(event_time) as day, item_id
        from marts.session_events
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and item_id is not null
        union
        select to_date(lines.purchased_at), lines.item_id
        from marts.order_lines as lines
        inner join ops.touched_orders as orders on lines.order_id = orders.order_id
        union
        select day, item_id
        from ops.touched_item_days
    ),

    first_day as (
        select min(day) as day
        from touched
    ),

    looks as (
        select
            touched.day,
            touched.item_id,
            sum(iff(events.event_name = 'view_item', 1, 0)) as count_views,
            sum(iff(events.event_name = 'add_to_cart', 1, 0)) as count_cart_additions,
            max(iff(events.derived, 1, 0)) = 1 as derived
        from marts.session_events as events
        inner join touched on to_date(events.event_time) = touched.day and events.item_id = touched.item_id
        where events.event_time >= (select day from first_day) and events.event_name in ('view_item', 'add_to_cart')
        group by touched.day, touched.item_id
    ),

    orders as (
        select
            touched.day,
            touched.item_id,
            count(*) as count_orders,
            sum(lines.quantity) as count_units,
            sum(lines.price_cents) as revenue_cents
        from marts.order_lines as lines
        inner join touched on to_date(lines.purchased_at) = touched.day and lines.item_id = touched.item_id
        where lines.purchased_at >= (select day from first_day) and lines.quantity > 0
        group by touched.day, touched.item_id
    )

    select
        touched.day,
        touched.item_id,
        coalesce(looks.count_views, 0) as count_views,
        coalesce(looks.count_cart_additions, 0) as count_cart_additions,
        coalesce(orders.count_orders, 0) as count_orders,
        coalesce(orders.count_units, 0) as count_units,
        coalesce(orders.revenue_cents, 0) as revenue_cents,
        coalesce(looks.derived, false) as derived,
        looks.item_id is null and orders.item_id is null as is_gone
    from touched
    left join looks on touched.day = looks.day and touched.item_id = looks.item_id
    left join orders on touched.day = orders.day and touched.item_id = orders.item_id
) as source
    on target.day = source.day and target.item_id = source.item_id
when matched and source.is_gone then delete
when matched then update set
    count_views = source.count_views,
    count_cart_additions = source.count_cart_additions,
    count_orders = source.count_orders,
    count_units = source.count_units,
    revenue_cents = source.revenue_cents,
    derived = source.derived
when not matched and not source.is_gone then insert (
    day, item_id, count_views, count_cart_additions, count_orders, count_units, revenue_cents, derived
) values (
    source.day, source.item_id, source.count_views, source.count_cart_additions, source.count_orders,
    source.count_units, source.revenue_cents, source.derived
);
