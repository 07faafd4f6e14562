-- Grain: one item of the catalogue. Key: item_id.
create or replace view exports.items_v1 as
select
    item_id::varchar as item_id,
    title::varchar as title,
    description::varchar as description,
    category::varchar as category,
    brand::varchar as brand,
    price_cents::number(18, 0) as price_cents,
    margin_share::float as margin_share,
    margin_derived::boolean as margin_derived,
    availability::varchar as availability
from marts.items;
