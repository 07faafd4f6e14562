-- Grain: an item of an order, all its lines together, refunds taken off. Key: order_id, item_id. One that was refunded
-- whole has quantity 0.
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

-- Grain: one item of one event of a session; a search has one row without an item.
-- Key: session_id, event_id, position.
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
    primary key (session_id, event_id, position)
);

-- Grain: one session that put something in its cart. Key: session_id.
-- status: open (24 hours have not passed), ordered, abandoned, emptied. count_items: what is still in it.
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
-- The claims of the token, then what came of it in the same session: a click, a cart, an order.
create table if not exists marts.impressions (
    recommendation_id varchar(128) not null,
    session_id varchar(128) not null,
    visitor_id varchar(128) not null,
    shopper_id varchar(128) not null,
    placement varchar(128) not null,
    experiment varchar(128),
    config_version number(18, 0),
    epoch number(18, 0),
    variant varchar(128),
    propensity float,
    is_holdout boolean not null,
    segment varchar(32),
    degraded boolean not null,
    item_id varchar(128) not null,
    index number(9, 0),
    shown_at timestamp_ntz not null,
    clicked boolean not null,
    carted boolean not null,
    purchased boolean not null,
    primary key (recommendation_id, placement, item_id)
);

-- Grain: one version of an item, from the load that brought it to the load that changed something of it.
-- Key: item_id, valid_from. The current version has no valid_to.
create table if not exists marts.item_history (
    item_id varchar(128) not null,
    valid_from timestamp_ntz not null,
    valid_to timestamp_ntz,
    is_current boolean not null,
    attributes_hash varchar(32) not null,
    title varchar(1024) not null,
    description varchar(16384) not null,
    category varchar(1024) not null,
    brand varchar(256) not null,
    price_cents number(18, 0) not null,
    cost_cents number(18, 0),
    availability varchar(32) not null,
    primary key (item_id, valid_from)
);

-- Grain: one shopper, known from the shopper file or from an order. Key: shopper_id. Orders refunded whole do not count.
create table if not exists marts.shopper_profiles (
    shopper_id varchar(128) not null,
    attributes variant not null,
    consent varchar(32) not null,
    count_orders number(18, 0) not null,
    count_units number(18, 0) not null,
    spend_cents number(18, 0) not null,
    first_ordered_at timestamp_ntz,
    last_ordered_at timestamp_ntz,
    favourite_category varchar(1024),
    primary key (shopper_id)
);

-- Grain: one session of a visitor: more than 30 minutes of silence begin the next. Key: visitor_id, started_at.
-- landing: what its first event was about. has_history: the shopper had ordered before it began.
create table if not exists marts.sessions (
    visitor_id varchar(128) not null,
    started_at timestamp_ntz not null,
    ended_at timestamp_ntz not null,
    shopper_id varchar(128) not null,
    landing varchar(16) not null,
    landing_item_id varchar(128),
    count_events number(9, 0) not null,
    count_lists number(9, 0) not null,
    count_views number(9, 0) not null,
    count_searches number(9, 0) not null,
    count_cart_additions number(9, 0) not null,
    count_purchases number(9, 0) not null,
    has_history boolean not null,
    derived boolean not null,
    primary key (visitor_id, started_at)
);

-- Grain: one session in which an item was looked at or put in the cart. Key: visitor_id, started_at.
-- item_ids: array in order of time, an item that follows itself once.
create table if not exists marts.browse_sequences (
    visitor_id varchar(128) not null,
    started_at timestamp_ntz not null,
    shopper_id varchar(128) not null,
    item_ids variant not null,
    count_items number(9, 0) not null,
    derived boolean not null,
    primary key (visitor_id, started_at)
);

-- Grain: one search. Key: visitor_id, searched_at, event_id, for an event_id is unique within its session only.
-- The click is the first item chosen or looked at before the session's next search.
create table if not exists marts.searches (
    event_id varchar(128) not null,
    visitor_id varchar(128) not null,
    started_at timestamp_ntz not null,
    shopper_id varchar(128) not null,
    searched_at timestamp_ntz not null,
    search_term varchar(256) not null,
    clicked_item_id varchar(128),
    clicked_position number(9, 0),
    clicked_at timestamp_ntz,
    derived boolean not null,
    primary key (visitor_id, searched_at, event_id)
);

-- Grain: one review. Key: review_id. is_verified: the shopper had ordered the item when the review was written.
create table if not exists marts.reviews (
    review_id varchar(128) not null,
    item_id varchar(128) not null,
    shopper_id varchar(128),
    rating number(9, 0) not null,
    text varchar(16384) not null,
    reviewed_at timestamp_ntz not null,
    is_verified boolean not null,
    primary key (review_id)
);

-- Grain: one item on one day (UTC) on which something happened to it. Key: day, item_id.
create table if not exists marts.item_popularity_daily (
    day date not null,
    item_id varchar(128) not null,
    count_views number(18, 0) not null,
    count_cart_additions number(18, 0) not null,
    count_orders number(18, 0) not null,
    count_units number(18, 0) not null,
    revenue_cents number(18, 0) not null,
    derived boolean not null,
    primary key (day, item_id)
);
