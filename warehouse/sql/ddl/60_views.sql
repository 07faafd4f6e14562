-- Marts that follow from other tables row by row, or whose upkeep would cost more than reading them anew.

-- Grain: one item of the catalogue. Key: item_id. Margin from cost where it is known, else from marts.margin_rules.
create or replace view marts.items as
with items as (
    select *, trim(split_part(category, ' > ', 1)) as department
    from staging.stg_items
)

select
    items.item_id,
    items.title,
    coalesce(items.description, '') as description,
    items.category,
    coalesce(items.brand, '') as brand,
    items.price_cents,
    iff(
        items.cost_cents is not null and items.price_cents > 0,
        (items.price_cents - items.cost_cents)::float / nullif(items.price_cents, 0),
        coalesce(own.margin_share, common.margin_share) + iff(items.brand = 'Private', 0.08, 0)
    )::float as margin_share,
    items.cost_cents is null or items.price_cents <= 0 as margin_derived,
    items.availability,
    items.loaded_at
from items
inner join marts.margin_rules as common on common.department = 'default'
left join marts.margin_rules as own on items.department = own.department;

-- Grain: one shopper, known from the shopper file or from an order. Key: shopper_id.
create or replace view marts.shoppers as
select shopper_id, attributes
from marts.shopper_profiles;

-- Grain: one price or cost of an item and the time it held. Key: item_id, valid_from.
create or replace view marts.price_history as
with compared as (
    select
        item_id,
        valid_from,
        price_cents,
        cost_cents,
        lag(price_cents) over (partition by item_id order by valid_from) as previous_price_cents,
        lag(coalesce(cost_cents, -1)) over (partition by item_id order by valid_from) as previous_cost_cents
    from marts.item_history
),

changes as (
    select item_id, valid_from, price_cents, cost_cents
    from compared
    where
        previous_price_cents is null
        or previous_price_cents != price_cents
        or previous_cost_cents != coalesce(cost_cents, -1)
)

select
    item_id,
    valid_from,
    lead(valid_from) over (partition by item_id order by valid_from) as valid_to,
    price_cents,
    cost_cents
from changes;

-- Grain: one availability of an item and the time it held. Key: item_id, valid_from.
create or replace view marts.stock_history as
with compared as (
    select
        item_id,
        valid_from,
        availability,
        lag(availability) over (partition by item_id order by valid_from) as previous_availability
    from marts.item_history
),

changes as (
    select item_id, valid_from, availability
    from compared
    where previous_availability is null or previous_availability != availability
)

select
    item_id,
    valid_from,
    lead(valid_from) over (partition by item_id order by valid_from) as valid_to,
    availability
from changes;

-- Grain: an item and another that was in the same order. Key: item_id, other_item_id.
-- Of an order the eight dearest lines take part, of the partners of an item the 50 most frequent: both bounds keep
-- the rows linear in the lines. A view, because a count that may also fall cannot be kept by looking at one day.
create or replace view marts.co_purchases as
with dearest as (
    select order_id, item_id
    from marts.order_lines
    where quantity > 0
    qualify row_number() over (partition by order_id order by price_cents desc, item_id) <= 8
),

pairs as (
    select one.item_id, other.item_id as other_item_id, count(*) as count_orders
    from dearest as one
    inner join dearest as other on one.order_id = other.order_id and one.item_id != other.item_id
    group by one.item_id, other.item_id
)

select item_id, other_item_id, count_orders
from pairs
qualify row_number() over (partition by item_id order by count_orders desc, other_item_id) <= 50;
