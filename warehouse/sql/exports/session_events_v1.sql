-- Grain: one item of one event of a session; a search has one row without an item. Key: session_id, event_id, item_id.
create or replace view exports.session_events_v1 as
select
    events.session_id::varchar as session_id,
    events.shopper_id::varchar as shopper_id,
    events.event_id::varchar as event_id,
    events.event_name::varchar as event_name,
    events.event_time::timestamp_ntz as event_time,
    events.item_id::varchar as item_id,
    events.search_term::varchar as search_term,
    events.derived::boolean as derived
from marts.session_events as events
left join marts.items as items on events.item_id = items.item_id
where events.item_id is null or items.item_id is not null;
