-- Grain: one item of the catalogue on one day (UTC) on which something happened to it. Key: day, item_id.
create or replace view exports.item_popularity_v1 as
select
    to_timestamp_ntz(daily.day) as day,
    daily.item_id::varchar as item_id,
    daily.count_views::number(18, 0) as count_views,
    daily.count_cart_additions::number(18, 0) as count_cart_additions,
    daily.count_orders::number(18, 0) as count_orders,
    daily.count_units::number(18, 0) as count_units,
    daily.revenue_cents::number(18, 0) as revenue_cents,
    daily.derived::boolean as derived
from marts.item_popularity_daily as daily
inner join marts.items as items on daily.item_id = items.item_id;
