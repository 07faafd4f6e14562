-- Grain: one event as it was recorded, once for each delivery. No key: duplicates are possible.
-- Columns are contracts/events.py EVENT_COLUMNS, then the verified claims of its token, then the load.
create table if not exists raw.events (
    event_id varchar(128),
    event_name varchar(32),
    event_time timestamp_ntz,
    visitor_id varchar(128),
    session_id varchar(128),
    user_id varchar(128),
    items variant,
    item_list_id varchar(128),
    search_term varchar(256),
    transaction_id varchar(128),
    attribution_token varchar(4096),
    visible boolean,
    derived boolean,
    claims variant,
    loaded_at timestamp_ntz not null
);

-- Grain: one line of an order as the order system delivered it, once for each delivery. price_cents: paid for the whole
-- line. order_line_id: the order system's own, null where it gives none; delivery_id and row_number: which load brought
-- the row and where it stood in it, by which two lines of one item are told apart.
create table if not exists raw.purchases (
    order_id varchar(128),
    item_id varchar(128),
    shopper_id varchar(128),
    purchased_at timestamp_ntz,
    quantity number(9, 0),
    price_cents number(18, 0),
    order_line_id varchar(128),
    delivery_id varchar(64),
    row_number number(18, 0),
    loaded_at timestamp_ntz not null
);

-- Grain: one version of a catalogue item. cost_cents is null where the retailer gives none.
create table if not exists raw.items (
    item_id varchar(128),
    title varchar(1024),
    description varchar(16384),
    category varchar(1024),
    brand varchar(256),
    price_cents number(18, 0),
    cost_cents number(18, 0),
    availability varchar(32),
    delivery_id varchar(64),
    row_number number(18, 0),
    loaded_at timestamp_ntz not null
);

-- Grain: one version of a shopper. attributes is an object of text values.
create table if not exists raw.shoppers (
    shopper_id varchar(128),
    attributes variant,
    loaded_at timestamp_ntz not null
);

-- Grain: one version of a review. item_id and rating make it usable; the newest version of a review_id wins.
create table if not exists raw.reviews (
    review_id varchar(128),
    item_id varchar(128),
    shopper_id varchar(128),
    rating number(9, 0),
    text varchar(16384),
    reviewed_at timestamp_ntz,
    loaded_at timestamp_ntz not null
);

-- Grain: one request of a shopper to be forgotten, once for each delivery.
create table if not exists raw.erasures (
    shopper_id varchar(128),
    requested_at timestamp_ntz,
    loaded_at timestamp_ntz not null
);

-- Grain: one row of a delivered file that could not be taken. Key: source_file, row_number. content is the row as it
-- was delivered, so that it can be put right and loaded again.
create table if not exists raw.rejects (
    source_file varchar(512) not null,
    row_number number(38, 0) not null,
    reason varchar(1024) not null,
    content varchar(16384),
    loaded_at timestamp_ntz not null
);
