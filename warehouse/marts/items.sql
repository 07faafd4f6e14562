-- Grain: one item of the catalogue. Key: item_id. Margin from cost where it is known, else from marts.margin_rules.
merge into marts.items as target
using (
    with changed as (
        select *, trim(split_part(category, ' > ', 1)) as department
        from staging.stg_items
        where loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz
    ),

    ruled as (
        select
            changed.item_id,
            coalesce(own.margin_share, common.margin_share)
            + iff(changed.brand = 'Private', 0.08, 0) as margin_share
        from changed
        inner join marts.margin_rules as common on common.department = 'default'
        left join marts.margin_rules as own on changed.department = own.department
    )

    select
        changed.item_id,
        changed.title,
        coalesce(changed.description, '') as description,
        changed.category,
        coalesce(changed.brand, '') as brand,
        changed.price_cents,
        iff(
            changed.cost_cents is not null and changed.price_cents > 0,
            (changed.price_cents - changed.cost_cents) / changed.price_cents,
            ruled.margin_share
        ) as margin_share,
        changed.cost_cents is null or changed.price_cents <= 0 as margin_derived,
        changed.availability,
        changed.loaded_at
    from changed
    inner join ruled on changed.item_id = ruled.item_id
) as source
    on target.item_id = source.item_id
when matched and source.loaded_at > target.loaded_at then update set
    title = source.title,
    description = source.description,
    category = source.category,
    brand = source.brand,
    price_cents = source.price_cents,
    margin_share = source.margin_share,
    margin_derived = source.margin_derived,
    availability = source.availability,
    loaded_at = source.loaded_at
when not matched then insert (
    item_id, title, description, category, brand, price_cents, margin_share, margin_derived, availability, loaded_at
) values (
    source.item_id, source.title, source.description, source.category, source.brand, source.price_cents,
    source.margin_share, source.margin_derived, source.availability, source.loaded_at
);
