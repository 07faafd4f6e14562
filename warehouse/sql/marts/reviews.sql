-- Grain: one review. Key: review_id. Those in the window, and those of touched shoppers: an order may verify them.
merge into marts.reviews as target
using (
    with touched as (
        select review_id
        from staging.stg_reviews
        where loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz
        union
        select reviews.review_id
        from staging.stg_reviews as reviews
        inner join ops.touched_shoppers as shoppers on reviews.shopper_id = shoppers.shopper_id
    ),

    written as (
        select reviews.*
        from staging.stg_reviews as reviews
        inner join touched on reviews.review_id = touched.review_id
    ),

    verified as (
        select distinct written.review_id
        from written
        inner join marts.order_lines as lines
            on written.shopper_id = lines.shopper_id
            and written.item_id = lines.item_id
            and lines.purchased_at <= written.reviewed_at
        where lines.quantity > 0
    )

    select
        written.review_id,
        written.item_id,
        written.shopper_id,
        written.rating,
        trim(coalesce(written.text, '')) as text,
        written.reviewed_at,
        verified.review_id is not null as is_verified
    from written
    left join verified on written.review_id = verified.review_id
) as source
    on target.review_id = source.review_id
when matched then update set
    item_id = source.item_id,
    shopper_id = source.shopper_id,
    rating = source.rating,
    text = source.text,
    reviewed_at = source.reviewed_at,
    is_verified = source.is_verified
when not matched then insert (review_id, item_id, shopper_id, rating, text, reviewed_at, is_verified)
values (
    source.review_id, source.item_id, source.shopper_id, source.rating, source.text, source.reviewed_at,
    source.is_verified
);
