-- Grain: one review. Key: review_id. The newest version wins; a rating outside 1 to 5 stays in raw.
merge into staging.stg_reviews as target
using (
    with loaded as (
        select *
        from raw.reviews
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and review_id is not null
            and item_id is not null
            and reviewed_at is not null
            and rating between 1 and 5
    )

    select review_id, item_id, shopper_id, rating, text, reviewed_at, loaded_at
    from loaded
    qualify row_number() over (partition by review_id order by loaded_at desc, reviewed_at desc, rating, text) = 1
) as source
    on target.review_id = source.review_id
when matched and source.loaded_at > target.loaded_at then update set
    item_id = source.item_id,
    shopper_id = source.shopper_id,
    rating = source.rating,
    text = source.text,
    reviewed_at = source.reviewed_at,
    loaded_at = source.loaded_at
when not matched then insert (review_id, item_id, shopper_id, rating, text, reviewed_at, loaded_at)
values (
    source.review_id, source.item_id, source.shopper_id, source.rating, source.text, source.reviewed_at,
    source.loaded_at
);
