-- Grain: one version of an item. Key: item_id, valid_from. Of the items in the window, from all their deliveries: a
-- delivery that changes nothing makes no version, and one that is found late takes its place between the others.
merge into marts.item_history as target
using (
    with touched as (
        select distinct item_id
        from raw.items
        where loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz
    ),

    delivered as (
        select items.*
        from raw.items as items
        inner join touched on items.item_id = touched.item_id
        where
            items.loaded_at < dateadd(day, 1, %(as_of)s::timestamp_ntz)
            and items.title is not null
            and items.category is not null
            and items.price_cents is not null
        qualify row_number() over (
            partition by items.item_id, items.loaded_at order by items.price_cents desc, items.title
        ) = 1
    ),

    described as (
        select
            item_id,
            loaded_at,
            title,
            coalesce(description, '') as description,
            category,
            coalesce(brand, '') as brand,
            price_cents,
            cost_cents,
            coalesce(availability, 'in_stock') as availability,
            md5(
                title || chr(31) || coalesce(description, '') || chr(31) || category || chr(31) || coalesce(brand, '')
                || chr(31) || price_cents::varchar || chr(31) || coalesce(cost_cents::varchar, '')
                || chr(31) || coalesce(availability, 'in_stock')
            ) as attributes_hash
        from delivered
    ),

    versions as (
        select *
        from described
        qualify coalesce(lag(attributes_hash) over (partition by item_id order by loaded_at), '') != attributes_hash
    ),

    spans as (
        select *, lead(loaded_at) over (partition by item_id order by loaded_at) as valid_to
        from versions
    ),

    superseded as (
        select target.item_id, target.valid_from
        from marts.item_history as target
        inner join touched on target.item_id = touched.item_id
        left join spans on target.item_id = spans.item_id and target.valid_from = spans.loaded_at
        where spans.item_id is null
    )

    select
        item_id, loaded_at as valid_from, valid_to, attributes_hash, title, description, category, brand, price_cents,
        cost_cents, availability, false as is_superseded
    from spans
    union all
    select item_id, valid_from, null, null, null, null, null, null, null, null, null, true
    from superseded
) as source
    on target.item_id = source.item_id and target.valid_from = source.valid_from
when matched and source.is_superseded then delete
when matched then update set
    valid_to = source.valid_to,
    is_current = source.valid_to is null,
    attributes_hash = source.attributes_hash,
    title = source.title,
    description = source.description,
    category = source.category,
    brand = source.brand,
    price_cents = source.price_cents,
    cost_cents = source.cost_cents,
    availability = source.availability
when not matched then insert (
    item_id, valid_from, valid_to, is_current, attributes_hash, title, description, category, brand, price_cents,
    cost_cents, availability
) values (
    source.item_id, source.valid_from, source.valid_to, source.valid_to is null, source.attributes_hash, source.title,
    source.description, source.category, source.brand, source.price_cents, source.cost_cents, source.availability
);
