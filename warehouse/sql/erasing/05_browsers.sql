-- A late event shows an erased shopper in a browser that was not known: that browser's ids are remembered as well.
merge into ops.erased as target
using (
    select
        sha2(events.visitor_id, 256) as id_hash,
        'visitor' as kind,
        max(erased.erased_until) as erased_until,
        max(events.loaded_at) as loaded_at
    from raw.events as events
    inner join ops.erased as erased on sha2(events.user_id, 256) = erased.id_hash
    where
        events.loaded_at >= %(loaded_from)s::timestamp_ntz
        and events.loaded_at < %(loaded_until)s::timestamp_ntz
        and events.visitor_id is not null
        and events.event_time <= erased.erased_until
    group by sha2(events.visitor_id, 256)
) as source
    on target.id_hash = source.id_hash
when not matched then insert (id_hash, kind, erased_until, loaded_at)
values (source.id_hash, source.kind, source.erased_until, source.loaded_at);
