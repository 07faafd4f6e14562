-- Grain: one search. Without a click, or with one on an item of the catalogue.
create or replace view exports.searches_v1 as
select
    searches.event_id::varchar as event_id,
    searches.shopper_id::varchar as shopper_id,
    searches.searched_at::timestamp_ntz as searched_at,
    searches.search_term::varchar as search_term,
    items.item_id::varchar as clicked_item_id,
    iff(items.item_id is null, null, searches.clicked_position)::number(9, 0) as clicked_position,
    searches.derived::boolean as derived
from marts.searches as searches
left join marts.items as items on searches.clicked_item_id = items.item_id;
