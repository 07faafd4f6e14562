-- Grain: one item of one impression whose token was verified. Key: recommendation_id, placement, item_id.
create or replace view exports.impressions_v1 as
select
    recommendation_id::varchar as recommendation_id,
    session_id::varchar as session_id,
    placement::varchar as placement,
    experiment::varchar as experiment,
    epoch::number(18, 0) as epoch,
    variant::varchar as variant,
    propensity::float as propensity,
    item_id::varchar as item_id,
    index::number(9, 0) as index,
    shown_at::timestamp_ntz as shown_at,
    clicked::boolean as clicked,
    visitor_id::varchar as visitor_id,
    is_holdout::boolean as is_holdout,
    segment::varchar as segment,
    carted::boolean as carted,
    purchased::boolean as purchased
from marts.impressions;
