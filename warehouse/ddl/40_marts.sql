-- Grain: one line of an order, refunds taken off. Key: order_id, item_id. A line refunded whole has quantity 0.
create table if not exists marts.order_lines (
    order_id varchar(128) not null,
    item_id varchar(128) not null,
    shopper_id varchar(128) not null,
    purchased_at timestamp_ntz not null,
    quantity number(9, 0) not null,
    price_cents number(18, 0) not null,
    refunded_quantity number(9, 0) not null,
    loaded_at timestamp_ntz not null,
    primary key (order_id, item_id)
);

-- Grain: one item of one event of a session; a search has one row without an item. Key: event_id, position.
create table if not exists marts.session_events (
    event_id varchar(128) not null,
    position number(9, 0) not null,
    session_id varchar(128) not null,
    shopper_id varchar(128) not null,
    event_name varchar(32) not null,
    event_time timestamp_ntz not null,
    item_id varchar(128),
    search_term varchar(256),
    derived boolean not null,
    loaded_at timestamp_ntz not null,
    primary key (event_id, position)
);

-- Grain: one session that put something in its cart. Key: session_id.
-- status: open (24 hours have not passed), ordered, abandoned.
create table if not exists marts.carts (
    session_id varchar(128) not null,
    shopper_id varchar(128) not null,
    first_added_at timestamp_ntz not null,
    last_added_at timestamp_ntz not null,
    count_items number(9, 0) not null,
    ordered_at timestamp_ntz,
    status varchar(16) not null,
    derived boolean not null,
    primary key (session_id)
);

-- Grain: one item of one impression whose token was verified. Key: recommendation_id, placement, item_id.
create table if not exists marts.impressions (
    recommendation_id varchar(128) not null,
    session_id varchar(128) not null,
    placement varchar(128) not null,
    experiment varchar(128),
    epoch number(18, 0),
    variant varchar(128),
    propensity float,
    item_id varchar(128) not null,
    index number(9, 0),
    shown_at timestamp_ntz not null,
    clicked boolean not null,
    primary key (recommendation_id, placement, item_id)
);

-- Grain: one item of the catalogue. Key: item_id.
create table if not exists marts.items (
    item_id varchar(128) not null,
    title varchar(1024) not null,
    description varchar(16384) not null,
    category varchar(1024) not null,
    brand varchar(256) not null,
    price_cents number(18, 0) not null,
    margin_share float not null,
    margin_derived boolean not null,
    availability varchar(32) not null,
    loaded_at timestamp_ntz not null,
    primary key (item_id)
);

-- Grain: one shopper, known from the shopper file or from an order. Key: shopper_id.
create table if not exists marts.shoppers (
    shopper_id varchar(128) not null,
    attributes variant not null,
    primary key (shopper_id)
);
