-- Grain: one review of an item in the catalogue. Key: review_id.
create or replace view exports.reviews_v1 as
select
    reviews.review_id::varchar as review_id,
    reviews.item_id::varchar as item_id,
    reviews.shopper_id::varchar as shopper_id,
    reviews.rating::number(9, 0) as rating,
    reviews.text::varchar as text,
    reviews.reviewed_at::timestamp_ntz as reviewed_at,
    reviews.is_verified::boolean as is_verified
from marts.reviews as reviews
inner join marts.items as items on reviews.item_id = items.item_id;
