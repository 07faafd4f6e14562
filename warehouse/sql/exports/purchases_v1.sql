-- Grain: one line of an order, refunds taken off, of an item in the catalogue. Key: order_id, item_id.
create or replace view exports.purchases_v1 as
select
    lines.shopper_id::varchar as shopper_id,
    lines.item_id::varchar as item_id,
    lines.order_id::varchar as order_id,
    lines.purchased_at::timestamp_ntz as purchased_at,
    lines.quantity::number(9, 0) as quantity,
    lines.price_cents::number(18, 0) as price_cents
from marts.order_lines as lines
inner join marts.items as items on lines.item_id = items.item_id
where lines.quantity > 0;
