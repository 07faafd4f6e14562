-- Grain: one item of the catalogue. Key: item_id. reviews: the ten newest texts of the item, in one.
create or replace view exports.items_v1 as
with newest as (
    select item_id, text, reviewed_at, review_id
    from marts.reviews
    where text != ''
    qualify row_number() over (partition by item_id order by reviewed_at desc, review_id) <= 10
),

reviewed as (
    select item_id, listagg(text, ' ') within group (order by reviewed_at desc, review_id) as reviews
    from newest
    group by item_id
)

select
    items.item_id::varchar as item_id,
    items.title::varchar as title,
    items.description::varchar as description,
    items.category::varchar as category,
    items.brand::varchar as brand,
    items.price_cents::number(18, 0) as price_cents,
    items.margin_share::float as margin_share,
    items.margin_derived::boolean as margin_derived,
    items.availability::varchar as availability,
    reviewed.reviews::varchar as reviews
from marts.items as items
left join reviewed on items.item_id = reviewed.item_id;
