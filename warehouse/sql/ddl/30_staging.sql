-- Grain: one event. Key: session_id, event_id, as in the API; the first delivery wins: an event never changes.
create table if not exists staging.stg_events (
    event_id varchar(128) not null,
    event_name varchar(32) not null,
    event_time timestamp_ntz not null,
    visitor_id varchar(128) not null,
    session_id varchar(128) not null,
    user_id varchar(128),
    items variant,
    item_list_id varchar(128),
    search_term varchar(256),
    transaction_id varchar(128),
    attribution_token varchar(4096),
    visible boolean not null,
    derived boolean not null,
    claims variant,
    shopper_id varchar(128) not null,
    loaded_at timestamp_ntz not null,
    primary key (session_id, event_id)
);

-- Grain: one line of an order. Key: order_id, line_id: the order system's own id (has_line_id), else the item and the
-- line's place among the lines of that item in its order, as in `tea/2`. The newest delivery wins.
create table if not exists staging.stg_purchases (
    order_id varchar(128) not null,
    item_id varchar(128) not null,
    shopper_id varchar(128) not null,
    purchased_at timestamp_ntz not null,
    quantity number(9, 0) not null,
    price_cents number(18, 0) not null,
    line_id varchar(160),
    has_line_id boolean,
    loaded_at timestamp_ntz not null,
    primary key (order_id, line_id)
);

-- Of an earlier version, which had one line an item: may be null in the table so that the column could be added.
update staging.stg_purchases set line_id = item_id || '/1', has_line_id = false where line_id is null;

-- Grain: one item. Key: item_id; the newest version wins.
create table if not exists staging.stg_items (
    item_id varchar(128) not null,
    title varchar(1024) not null,
    description varchar(16384),
    category varchar(1024) not null,
    brand varchar(256),
    price_cents number(18, 0) not null,
    cost_cents number(18, 0),
    availability varchar(32) not null,
    loaded_at timestamp_ntz not null,
    primary key (item_id)
);

-- Grain: one shopper. Key: shopper_id; the newest version wins.
create table if not exists staging.stg_shoppers (
    shopper_id varchar(128) not null,
    attributes variant,
    loaded_at timestamp_ntz not null,
    primary key (shopper_id)
);

-- Grain: one review. Key: review_id; the newest version wins.
create table if not exists staging.stg_reviews (
    review_id varchar(128) not null,
    item_id varchar(128) not null,
    shopper_id varchar(128),
    rating number(9, 0) not null,
    text varchar(16384),
    reviewed_at timestamp_ntz not null,
    loaded_at timestamp_ntz not null,
    primary key (review_id)
);
