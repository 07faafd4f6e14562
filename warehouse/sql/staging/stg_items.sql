-- Grain: one item. Key: item_id. The newest version wins.
merge into staging.stg_items as target
using (
    select item_id, title, description, category, brand, price_cents, cost_cents, availability, loaded_at
    from staging.item_deliveries
    where loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz
    qualify row_number() over (partition by item_id order by loaded_at desc) = 1
) as source
    on target.item_id = source.item_id
when matched and source.loaded_at > target.loaded_at then update set
    title = source.title,
    description = source.description,
    category = source.category,
    brand = source.brand,
    price_cents = source.price_cents,
    cost_cents = source.cost_cents,
    availability = source.availability,
    loaded_at = source.loaded_at
when not matched then insert (
    item_id, title, description, category, brand, price_cents, cost_cents, availability, loaded_at
) values (
    source.item_id, source.title, source.description, source.category, source.brand, source.price_cents,
    source.cost_cents, source.availability, source.loaded_at
);
