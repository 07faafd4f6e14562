-- Grain: one shopper, known from the shopper file or from an order. Key: shopper_id. The touched shoppers anew, from
-- all their orders; who has neither attributes nor orders any more is deleted. Consent is the shopper file's word.
merge into marts.shopper_profiles as target
using (
    with touched as (
        select distinct shopper_id
        from ops.touched_shoppers
    ),

    lines as (
        select order_lines.shopper_id, order_lines.order_id, order_lines.item_id, order_lines.purchased_at,
            order_lines.quantity, order_lines.price_cents
        from marts.order_lines as order_lines
        inner join touched on order_lines.shopper_id = touched.shopper_id
    ),

    orders as (
        select
            shopper_id,
            count(distinct iff(quantity > 0, order_id, null)) as count_orders,
            sum(quantity) as count_units,
            sum(price_cents) as spend_cents,
            min(iff(quantity > 0, purchased_at, null)) as first_ordered_at,
            max(iff(quantity > 0, purchased_at, null)) as last_ordered_at
        from lines
        group by shopper_id
    ),

    categories as (
        select lines.shopper_id, items.category
        from lines
        inner join marts.items as items on lines.item_id = items.item_id
        group by lines.shopper_id, items.category
        having sum(lines.quantity) > 0
        qualify row_number() over (
            partition by lines.shopper_id order by sum(lines.quantity) desc, items.category
        ) = 1
    )

    select
        touched.shopper_id,
        coalesce(known.attributes, parse_json('{}')) as attributes,
        coalesce(left(known.attributes:consent::varchar, 32), 'unknown') as consent,
        coalesce(orders.count_orders, 0) as count_orders,
        coalesce(orders.count_units, 0) as count_units,
        coalesce(orders.spend_cents, 0) as spend_cents,
        orders.first_ordered_at,
        orders.last_ordered_at,
        categories.category as favourite_category,
        known.shopper_id is null and orders.shopper_id is null as is_gone
    from touched
    left join staging.stg_shoppers as known on touched.shopper_id = known.shopper_id
    left join orders on touched.shopper_id = orders.shopper_id
    left join categories on touched.shopper_id = categories.shopper_id
) as source
    on target.shopper_id = source.shopper_id
when matched and source.is_gone then delete
when matched then update set
    attributes = source.attributes,
    consent = source.consent,
    count_orders = source.count_orders,
    count_units = source.count_units,
    spend_cents = source.spend_cents,
    first_ordered_at = source.first_ordered_at,
    last_ordered_at = source.last_ordered_at,
    favourite_category = source.favourite_category
when not matched and not source.is_gone then insert (
    shopper_id, attributes, consent, count_orders, count_units, spend_cents, first_ordered_at, last_ordered_at,
    favourite_category
) values (
    source.shopper_id, source.attributes, source.consent, source.count_orders, source.count_units, source.spend_cents,
    source.first_ordered_at, source.last_ordered_at, source.favourite_category
);
