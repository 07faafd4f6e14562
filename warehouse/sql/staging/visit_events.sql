-- Grain: one event of a touched session, with the start of its session. Key: session_id, event_id.
-- Written anew by each run.
-- More than 30 minutes of silence of a visitor begin its next session, whatever the storefront calls the visit.
delete from ops.visit_events;

insert into ops.visit_events (
    event_id, visitor_id, started_at, event_name, event_time, shopper_id, user_id, session_id, item_id, position,
    items, search_term, derived, loaded_at
)
with visited as (
    select stg.*
    from staging.stg_events as stg
    inner join ops.touched_visitors as touched
        on stg.visitor_id = touched.visitor_id
        and stg.event_time >= touched.first_at
        and stg.event_time <= touched.last_at
    where
        stg.event_name != 'refund'
        and stg.event_time >= (select min(first_at) from ops.touched_visitors)
),

spaced as (
    select
        *,
        lag(event_time) over (partition by visitor_id order by event_time, event_id) as previous_at
    from visited
),

begun as (
    select
        *,
        max(iff(previous_at is null or event_time > dateadd(minute, 30, previous_at), event_time, null)) over (
            partition by visitor_id order by event_time, event_id
            rows between unbounded preceding and current row
        ) as started_at
    from spaced
)

select
    event_id,
    visitor_id,
    started_at,
    event_name,
    event_time,
    shopper_id,
    user_id,
    session_id,
    items[0]:item_id::varchar as item_id,
    items[0]:index::int as position,
    items,
    search_term,
    derived,
    loaded_at
from begun;
