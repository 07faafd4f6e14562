-- Grain: one version of an item. Key: item_id, valid_from. A delivery that changes nothing makes no version, and costs
-- nothing; for the items of the others all deliveries are gone through, so one that is found late takes its place.
merge into marts.item_history as target
using (
    with touched as (
        select distinct delivered.item_id
        from staging.item_deliveries as delivered
        left join marts.item_history as known
            on delivered.item_id = known.item_id
            and delivered.loaded_at >= known.valid_from
            and (known.valid_to is null or delivered.loaded_at < known.valid_to)
        where
            delivered.loaded_at >= %(loaded_from)s::timestamp_ntz
            and delivered.loaded_at < %(loaded_until)s::timestamp_ntz
            and (known.attributes_hash is null or known.attributes_hash != delivered.attributes_hash)
    ),

    delivered as (
        select deliveries.*
        from staging.item_deliveries as deliveries
        inner join touched on deliveries.item_id = touched.item_id
        where deliveries.loaded_at < dateadd(day, 1, %(as_of)s::timestamp_ntz)
    ),

    versions as (
        select *
        from delivered
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
