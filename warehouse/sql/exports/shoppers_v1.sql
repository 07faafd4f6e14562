-- Grain: one shopper. Key: shopper_id. attributes is JSON text.
create or replace view exports.shoppers_v1 as
select
    shopper_id::varchar as shopper_id,
    attributes::varchar as attributes
from marts.shoppers;
