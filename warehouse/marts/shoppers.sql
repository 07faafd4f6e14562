-- Grain: one shopper, known from the shopper file or from an order. Key: shopper_id.
merge into marts.shoppers as target
using (
    with seen as (
        select shopper_id
        from staging.stg_shoppers
        where loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz
        union
        select shopper_id
        from marts.order_lines
        where loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz
    )

    select seen.shopper_id, coalesce(stg.attributes, parse_json('{}')) as attributes
    from seen
    left join staging.stg_shoppers as stg on seen.shopper_id = stg.shopper_id
) as source
    on target.shopper_id = source.shopper_id
when matched then update set attributes = source.attributes
when not matched then insert (shopper_id, attributes) values (source.shopper_id, source.attributes);
