-- Grain: one load of one raw table. Key: load_id. A load that is written here is never repeated.
create table if not exists ops.loads (
    load_id varchar(512) not null,
    table_name varchar(64) not null,
    count_rows number(38, 0) not null,
    loaded_at timestamp_ntz not null,
    primary key (load_id)
);

-- Grain: one time at which ddl and exports were applied. The newest says what is there (layers.py).
create table if not exists ops.layers (
    layers_hash varchar(64) not null,
    applied_at timestamp_ntz not null
);

-- Grain: one pipeline. Key: pipeline. Everything loaded before processed_until has been processed.
create table if not exists ops.watermarks (
    pipeline varchar(64) not null,
    processed_until timestamp_ntz not null,
    primary key (pipeline)
);

-- Grain: one line of a landed file that is not a record of an event. Key: file, line_number.
create table if not exists ops.rejected_lines (
    file varchar(512) not null,
    line_number number(38, 0) not null,
    reason varchar(512) not null,
    loaded_at timestamp_ntz not null
);

-- Grain: one landed record on its way from a stage into raw.events; empty between loads.
create transient table if not exists ops.landed_records (
    record variant
);

-- Grain: one check of one day. Key: run_on, name. value is compared with allowed; null where there was nothing.
create table if not exists quality.results (
    run_on date not null,
    name varchar(64) not null,
    severity varchar(8) not null,
    count_checked number(38, 0) not null,
    count_failed number(38, 0) not null,
    passed boolean not null,
    value float,
    allowed float,
    primary key (run_on, name)
);
