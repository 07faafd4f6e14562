-- Grain: one event. Key: session_id, event_id. The first delivery wins; what cannot be identified stays in raw.
merge into staging.stg_events as target
using (
    with loaded as (
        select *
        from raw.events
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and event_id is not null
            and event_name is not null
            and event_time is not null
            and visitor_id is not null
            and session_id is not null
    ),

    firsts as (
        select *
        from loaded
        qualify row_number() over (partition by session_id, event_id order by loaded_at, event_time, visitor_id) = 1
    )

    select
        event_id,
        event_name,
        event_time,
        visitor_id,
        session_id,
        user_id,
        items,
        item_list_id,
        search_term,
        transaction_id,
        attribution_token,
        coalesce(visible, false) as visible,
        coalesce(derived, false) as derived,
        claims,
        coalesce(user_id, visitor_id) as shopper_id,
        loaded_at
    from firsts
) as source
    on target.event_id = source.event_id
    and target.session_id = source.session_id
    and target.event_time >= %(events_from)s::timestamp_ntz
when not matched then insert (
    event_id, event_name, event_time, visitor_id, session_id, user_id, items, item_list_id, search_term,
    transaction_id, attribution_token, visible, derived, claims, shopper_id, loaded_at
) values (
    source.event_id, source.event_name, source.event_time, source.visitor_id, source.session_id, source.user_id,
    source.items, source.item_list_id, source.search_term, source.transaction_id, source.attribution_token,
    source.visible, source.derived, source.claims, source.shopper_id, source.loaded_at
);
