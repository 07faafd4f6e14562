-- Grain: one delivery of an item that can be used. Key: item_id, loaded_at. attributes_hash tells whether two are equal.
-- Of an item that one file has twice the last row is taken.
create or replace view staging.item_deliveries as
with described as (
    select
        item_id,
        loaded_at,
        title,
        coalesce(description, '') as description,
        category,
        coalesce(brand, '') as brand,
        price_cents,
        cost_cents,
        coalesce(availability, 'in_stock') as availability
    from raw.items
    where item_id is not null and title is not null and category is not null and price_cents is not null
    qualify row_number() over (partition by item_id, loaded_at order by row_number desc nulls last, price_cents desc, title) = 1
)

select
    *,
    md5(
        title || chr(31) || description || chr(31) || category || chr(31) || brand || chr(31) || price_cents::varchar
        || chr(31) || coalesce(cost_cents::varchar, '') || chr(31) || availability
    ) as attributes_hash
from described;
