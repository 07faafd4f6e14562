-- Grain: one line of an order. Key: order_id, item_id. The newest delivery wins.
merge into staging.stg_purchases as target
using (
    with loaded as (
        select *
        from raw.purchases
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and order_id is not null
            and item_id is not null
            and shopper_id is not null
            and purchased_at is not null
            and quantity > 0
            and price_cents >= 0
    ),

    newest as (
        select *
        from loaded
        qualify row_number() over (
            partition by order_id, item_id order by loaded_at desc, purchased_at desc, quantity desc, price_cents desc
        ) = 1
    )

    select order_id, item_id, shopper_id, purchased_at, quantity, price_cents, loaded_at
    from newest
) as source
    on target.order_id = source.order_id and target.item_id = source.item_id
when matched and source.loaded_at > target.loaded_at then update set
    shopper_id = source.shopper_id,
    purchased_at = source.purchased_at,
    quantity = source.quantity,
    price_cents = source.price_cents,
    loaded_at = source.loaded_at
when not matched then insert (order_id, item_id, shopper_id, purchased_at, quantity, price_cents, loaded_at)
values (
    source.order_id, source.item_id, source.shopper_id, source.purchased_at, source.quantity, source.price_cents,
    source.loaded_at
);
