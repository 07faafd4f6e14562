-- Which orders, shoppers, days of items and visitors the load window touches; runs before staging changes. Where an
-- order moves to another shopper or day, its old shopper and day are touched as well: afterwards nobody knows them.
delete from ops.touched_orders;

insert into ops.touched_orders (order_id)
with first_seen as (
    select distinct loaded.item_id
    from raw.items as loaded
    left join staging.stg_items as known on loaded.item_id = known.item_id
    where
        loaded.loaded_at >= %(loaded_from)s::timestamp_ntz
        and loaded.loaded_at < %(loaded_until)s::timestamp_ntz
        and known.item_id is null
)

select order_id
from raw.purchases
where
    loaded_at >= %(loaded_from)s::timestamp_ntz
    and loaded_at < %(loaded_until)s::timestamp_ntz
    and order_id is not null
union
select transaction_id
from raw.events
where
    loaded_at >= %(loaded_from)s::timestamp_ntz
    and loaded_at < %(loaded_until)s::timestamp_ntz
    and event_name in ('purchase', 'refund')
    and transaction_id is not null
union
select lines.order_id
from marts.order_lines as lines
inner join first_seen on lines.item_id = first_seen.item_id;

delete from ops.touched_shoppers;

insert into ops.touched_shoppers (shopper_id)
with recategorised as (
    select distinct loaded.item_id
    from raw.items as loaded
    left join staging.stg_items as known on loaded.item_id = known.item_id
    where
        loaded.loaded_at >= %(loaded_from)s::timestamp_ntz
        and loaded.loaded_at < %(loaded_until)s::timestamp_ntz
        and (known.item_id is null or known.category != loaded.category)
)

select shopper_id
from raw.purchases
where
    loaded_at >= %(loaded_from)s::timestamp_ntz
    and loaded_at < %(loaded_until)s::timestamp_ntz
    and shopper_id is not null
union
select coalesce(user_id, visitor_id)
from raw.events
where
    loaded_at >= %(loaded_from)s::timestamp_ntz
    and loaded_at < %(loaded_until)s::timestamp_ntz
    and event_name in ('purchase', 'refund')
    and visitor_id is not null
union
select shopper_id
from raw.shoppers
where
    loaded_at >= %(loaded_from)s::timestamp_ntz
    and loaded_at < %(loaded_until)s::timestamp_ntz
    and shopper_id is not null
union
select lines.shopper_id
from marts.order_lines as lines
inner join ops.touched_orders as touched on lines.order_id = touched.order_id
union
select lines.shopper_id
from marts.order_lines as lines
inner join recategorised on lines.item_id = recategorised.item_id;

delete from ops.touched_item_days;

insert into ops.touched_item_days (day, item_id)
select to_date(lines.purchased_at), lines.item_id
from marts.order_lines as lines
inner join ops.touched_orders as touched on lines.order_id = touched.order_id
union
select touched_on, item_id
from ops.touched_items
where loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz;

delete from ops.touched_visitors;

insert into ops.touched_visitors (visitor_id, first_at, last_at)
with loaded as (
    select visitor_id, min(event_time) as first_at, max(event_time) as last_at
    from raw.events
    where
        loaded_at >= %(loaded_from)s::timestamp_ntz
        and loaded_at < %(loaded_until)s::timestamp_ntz
        and visitor_id is not null
        and event_time is not null
    group by visitor_id
)

-- A session that the events may join is touched from its start to its end.
select
    loaded.visitor_id,
    least(loaded.first_at, coalesce(min(sessions.started_at), loaded.first_at)),
    greatest(loaded.last_at, coalesce(max(sessions.ended_at), loaded.last_at))
from loaded
left join marts.sessions as sessions
    on loaded.visitor_id = sessions.visitor_id
    and sessions.ended_at >= %(events_from)s::timestamp_ntz
    and sessions.ended_at >= dateadd(minute, -30, loaded.first_at)
    and sessions.started_at <= dateadd(minute, 30, loaded.last_at)
group by loaded.visitor_id, loaded.first_at, loaded.last_at;
