-- Who runs, what was run, what was erased. Written by runs.py, locks.py, erasures.py and loading.py.

-- Grain: one pipeline. Key: pipeline. token is null while nobody works; the row is there from the beginning, so that
-- taking the lease is one conditional update.
create table if not exists ops.leases (
    pipeline varchar(64) not null,
    token varchar(512),
    holder varchar(256),
    purpose varchar(256),
    taken_at timestamp_ntz,
    expires_at timestamp_ntz,
    primary key (pipeline)
);

merge into ops.leases as target
using (select column1 as pipeline from values ('daily'), ('landing')) as source
    on target.pipeline = source.pipeline
when not matched then insert (pipeline) values (source.pipeline);

-- Grain: one attempt to run a day or a range of days. Key: run_id.
-- status: running, done, stopped (a check said no), failed (an error), lost (its process or its connection died).
-- Only `done` changed anything: the others were rolled back. count_too_late: events older than 30 days when loaded.
create table if not exists ops.runs (
    run_id varchar(512) not null,
    pipeline varchar(64) not null,
    first_day date not null,
    last_day date not null,
    status varchar(16) not null,
    loaded_from timestamp_ntz,
    loaded_until timestamp_ntz,
    started_at timestamp_ntz not null,
    finished_at timestamp_ntz,
    count_changed number(38, 0),
    count_erased number(38, 0),
    count_too_late number(38, 0),
    message varchar(4096),
    primary key (run_id)
);

-- Grain: one id of an erased shopper or of a browser it was seen with. Key: id_hash (SHA-256 of the id).
-- Rows of that id that happened until erased_until are deleted whenever they arrive.
create table if not exists ops.erased (
    id_hash varchar(64) not null,
    kind varchar(16) not null,
    erased_until timestamp_ntz not null,
    loaded_at timestamp_ntz not null,
    primary key (id_hash)
);

-- Grain: one id on its way out; kind is shopper, visitor or session. Empty between runs.
create transient table if not exists ops.erasing (
    id varchar(128) not null,
    kind varchar(16) not null,
    erased_until timestamp_ntz not null
);

-- Grain: an item on a day on which an erased shopper had to do with it; aggregates of both are computed anew by the
-- run whose load window has loaded_at. Says nothing about who it was.
create table if not exists ops.touched_items (
    item_id varchar(128) not null,
    touched_on date not null,
    loaded_at timestamp_ntz not null
);

-- Grain: one column that a delivery brought and raw did not have. Key: table_name, column_name.
-- action: added (raw has it now) or left_out, with the reason.
create table if not exists ops.new_columns (
    table_name varchar(64) not null,
    column_name varchar(256) not null,
    action varchar(16) not null,
    reason varchar(512) not null,
    load_id varchar(512) not null,
    loaded_at timestamp_ntz not null,
    primary key (table_name, column_name)
);
