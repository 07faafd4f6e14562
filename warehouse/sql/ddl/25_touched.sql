-- What a run's load window touches, written by staging/touched.sql before staging changes and read by the marts. Each
-- run starts them anew, so they say nothing about the past. Transient: Snowflake keeps no copy of what was in them.

-- Grain: an order that was delivered, reported or refunded, or one of whose items became known.
create transient table if not exists ops.touched_orders (
    order_id varchar(128) not null
);

-- Grain: a shopper of such an order, before or after it changed, or whose attributes or favourite items changed.
create transient table if not exists ops.touched_shoppers (
    shopper_id varchar(128) not null
);

-- Grain: an item on a day on which a touched order, or a shopper who was erased, had it before this run.
create transient table if not exists ops.touched_item_days (
    day date not null,
    item_id varchar(128) not null
);

-- Grain: a visitor, and the span of time in which its sessions may have changed.
create transient table if not exists ops.touched_visitors (
    visitor_id varchar(128) not null,
    first_at timestamp_ntz not null,
    last_at timestamp_ntz not null
);

-- Grain: one event of a touched session, with the start of its session. Key: session_id, event_id.
create transient table if not exists ops.visit_events (
    event_id varchar(128) not null,
    visitor_id varchar(128) not null,
    started_at timestamp_ntz not null,
    event_name varchar(32) not null,
    event_time timestamp_ntz not null,
    shopper_id varchar(128) not null,
    user_id varchar(128),
    session_id varchar(128) not null,
    item_id varchar(128),
    position number(9, 0),
    items variant,
    search_term varchar(256),
    derived boolean not null,
    loaded_at timestamp_ntz not null
);

-- Grain: one touched session with its items in order of time. Key: visitor_id, started_at.
create transient table if not exists ops.visit_sequences (
    visitor_id varchar(128) not null,
    started_at timestamp_ntz not null,
    item_ids variant not null,
    count_items number(9, 0) not null,
    derived boolean not null
);
