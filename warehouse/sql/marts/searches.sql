-- Grain: one search. Key: visitor_id, searched_at, event_id.
-- Its click is the first item chosen or looked at before the session's next search.
merge into marts.searches as target
using (
    with numbered as (
        select
            *,
            sum(iff(event_name = 'search', 1, 0)) over (
                partition by visitor_id, started_at order by event_time, event_id
                rows between unbounded preceding and current row
            ) as search_number
        from ops.visit_events
    ),

    clicks as (
        select visitor_id, started_at, search_number, item_id, position, event_time
        from numbered
        where event_name in ('select_item', 'view_item') and item_id is not null
        qualify row_number() over (
            partition by visitor_id, started_at, search_number order by event_time, event_id
        ) = 1
    )

    select
        searches.event_id,
        searches.visitor_id,
        searches.started_at,
        searches.shopper_id,
        searches.event_time as searched_at,
        searches.search_term,
        clicks.item_id as clicked_item_id,
        clicks.position as clicked_position,
        clicks.event_time as clicked_at,
        searches.derived
    from numbered as searches
    left join clicks
        on searches.visitor_id = clicks.visitor_id
        and searches.started_at = clicks.started_at
        and searches.search_number = clicks.search_number
    where searches.event_name = 'search' and searches.search_term is not null
) as source
    on target.event_id = source.event_id
    and target.visitor_id = source.visitor_id
    and target.searched_at = source.searched_at
    and target.searched_at >= %(sessions_from)s::timestamp_ntz
when matched then update set
    started_at = source.started_at,
    clicked_item_id = source.clicked_item_id,
    clicked_position = source.clicked_position,
    clicked_at = source.clicked_at
when not matched then insert (
    event_id, visitor_id, started_at, shopper_id, searched_at, search_term, clicked_item_id, clicked_position,
    clicked_at, derived
) values (
    source.event_id, source.visitor_id, source.started_at, source.shopper_id, source.searched_at, source.search_term,
    source.clicked_item_id, source.clicked_position, source.clicked_at, source.derived
);
