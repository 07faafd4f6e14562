-- Grain: one item of one event of a session; a search has one row without an item.
-- Key: session_id, event_id, position.
-- Lists that were only shown are in marts.impressions; refunds are no behaviour of a visit.
merge into marts.session_events as target
using (
    with loaded as (
        select event_id, session_id, shopper_id, event_name, event_time, items, search_term, derived, loaded_at
        from staging.stg_events
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and event_name not in ('view_item_list', 'refund')
    ),

    item_rows as (
        select
            loaded.session_id,
            loaded.event_id,
            flat.index as position,
            flat.value:item_id::varchar as item_id
        from loaded, lateral flatten(input => loaded.items) as flat
        where loaded.event_name != 'search'
        union all
        select session_id, event_id, 0 as position, null as item_id
        from loaded
        where event_name = 'search'
    )

    select
        loaded.event_id,
        item_rows.position,
        loaded.session_id,
        loaded.shopper_id,
        loaded.event_name,
        loaded.event_time,
        item_rows.item_id,
        loaded.search_term,
        loaded.derived,
        loaded.loaded_at
    from loaded
    inner join item_rows on loaded.event_id = item_rows.event_id and loaded.session_id = item_rows.session_id
    where item_rows.item_id is not null or loaded.event_name = 'search'
) as source
    on target.event_id = source.event_id
    and target.session_id = source.session_id
    and target.position = source.position
    and target.event_time >= %(events_from)s::timestamp_ntz
when not matched then insert (
    event_id, position, session_id, shopper_id, event_name, event_time, item_id, search_term, derived, loaded_at
) values (
    source.event_id, source.position, source.session_id, source.shopper_id, source.event_name, source.event_time,
    source.item_id, source.search_term, source.derived, source.loaded_at
);
