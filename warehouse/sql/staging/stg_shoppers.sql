-- Grain: one shopper. Key: shopper_id. The newest version wins.
merge into staging.stg_shoppers as target
using (
    with loaded as (
        select *
        from raw.shoppers
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and shopper_id is not null
    ),

    newest as (
        select *
        from loaded
        qualify row_number() over (partition by shopper_id order by loaded_at desc, attributes::varchar) = 1
    )

    select shopper_id, attributes, loaded_at
    from newest
) as source
    on target.shopper_id = source.shopper_id
when matched and source.loaded_at > target.loaded_at then update set
    attributes = source.attributes,
    loaded_at = source.loaded_at
when not matched then insert (shopper_id, attributes, loaded_at)
values (source.shopper_id, source.attributes, source.loaded_at);
