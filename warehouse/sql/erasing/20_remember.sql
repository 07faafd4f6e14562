-- The hashes stay, the ids go: of a late row it can be told that its shopper was erased, of a hash not who it was.
merge into ops.erased as target
using (
    select
        sha2(gone.id, 256) as id_hash,
        min(gone.kind) as kind,
        max(gone.erased_until) as erased_until,
        dateadd(microsecond, -1, %(loaded_until)s::timestamp_ntz) as loaded_at
    from ops.erasing as gone
    where gone.kind in ('shopper', 'visitor')
    group by sha2(gone.id, 256)
) as source
    on target.id_hash = source.id_hash
when matched and source.erased_until > target.erased_until then update set erased_until = source.erased_until
when not matched then insert (id_hash, kind, erased_until, loaded_at)
values (source.id_hash, source.kind, source.erased_until, source.loaded_at);

delete from raw.erasures where loaded_at < %(loaded_until)s::timestamp_ntz;

delete from ops.erasing;
