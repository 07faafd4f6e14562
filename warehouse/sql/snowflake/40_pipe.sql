-- Snowflake only. Run as recommender_admin after 30: landed events into raw.events minutes after S3 has them.
-- Give the notification channel (DESC PIPE) to the bucket's event notifications for the prefix landing/events/.
-- Either the pipe or the schedule's `copy into` from @raw.landing takes the landing: each keeps a history of files of its
-- own, so with both every event is delivered twice (staging drops the second). The schedule is the default, because it
-- also finds new keys and lets no record fail a file; make the pipe where minutes matter, leave the load out of the
-- schedule then (WAREHOUSE_LANDING to an empty prefix), and look at COPY_HISTORY for files that were skipped.
-- A pipe takes files that are notified from now on: `alter pipe … refresh` for those of the last seven days.
-- METADATA$START_SCAN_TIME, not CURRENT_TIMESTAMP: a pipe fixes the latter when it compiles the statement, and the
-- load window would then miss the rows. A record without an event id stays in raw, as it does with the schedule.
create pipe if not exists recommender.raw.landed_events
    auto_ingest = true
    comment = 'S3 landing of deliver_events into raw.events'
as
copy into recommender.raw.events (
    event_id, event_name, event_time, visitor_id, session_id, user_id, items, item_list_id, search_term,
    transaction_id, attribution_token, visible, derived, claims, loaded_at
)
from (
    select
        $1:event_id::varchar(128),
        $1:event_name::varchar(32),
        convert_timezone('UTC', $1:event_time::timestamp_tz)::timestamp_ntz,
        $1:visitor_id::varchar(128),
        $1:session_id::varchar(128),
        $1:user_id::varchar(128),
        $1:items,
        $1:item_list_id::varchar(128),
        $1:search_term::varchar(256),
        $1:transaction_id::varchar(128),
        $1:attribution_token::varchar(4096),
        $1:visible::boolean,
        $1:derived::boolean,
        $1:claims,
        convert_timezone('UTC', metadata$start_scan_time)::timestamp_ntz
    from @recommender.raw.landing/events/
)
file_format = (format_name = 'recommender.raw.json_lines')
on_error = skip_file;
