-- Grain: one item of one impression whose token was verified. Key: recommendation_id, placement, item_id.
-- A list counts when it was in view. A click is a select_item with the same recommendation and placement; a cart or an
-- order is one of the item in the same session, after it was shown. What comes 30 days after the list is nothing of it,
-- and so the events of 31 days are enough.
merge into marts.impressions as target
using (
    with happened as (
        select claims:recommendation_id::varchar as recommendation_id, session_id, event_name, event_time
        from staging.stg_events
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and (claims:recommendation_id::varchar is not null or event_name in ('add_to_cart', 'purchase'))
    ),

    since as (
        select dateadd(day, -31, min(event_time)) as event_time
        from happened
    ),

    touched as (
        select recommendation_id
        from happened
        where recommendation_id is not null
        union
        select impressions.recommendation_id
        from marts.impressions as impressions
        inner join happened on impressions.session_id = happened.session_id
        where happened.event_name in ('add_to_cart', 'purchase') and impressions.shown_at <= happened.event_time
    ),

    attributed as (
        select *
        from staging.stg_events
        where
            event_time >= (select event_time from since)
            and claims:recommendation_id::varchar is not null
            and claims:placement::varchar is not null
            and event_name in ('view_item_list', 'select_item')
    ),

    touches as (
        select
            attributed.claims:recommendation_id::varchar as recommendation_id,
            attributed.claims:placement::varchar as placement,
            attributed.event_id,
            attributed.event_name,
            attributed.event_time,
            attributed.session_id,
            attributed.visitor_id,
            attributed.shopper_id,
            attributed.claims,
            attributed.visible,
            flat.value:item_id::varchar as item_id,
            coalesce(flat.value:index::int, flat.index) as index
        from attributed
        inner join touched on attributed.claims:recommendation_id::varchar = touched.recommendation_id,
        lateral flatten(input => attributed.items) as flat
    ),

    clicks as (
        select recommendation_id, placement, item_id, min(event_time) as clicked_at
        from touches
        where event_name = 'select_item'
        group by recommendation_id, placement, item_id
    ),

    shown as (
        select *
        from touches
        where event_name = 'view_item_list' and visible and item_id is not null
        qualify row_number() over (
            partition by recommendation_id, placement, item_id order by event_time, index, event_id
        ) = 1
    ),

    outcomes as (
        select
            shown.recommendation_id,
            shown.placement,
            shown.item_id,
            max(iff(events.event_name = 'add_to_cart', 1, 0)) = 1 as carted,
            max(iff(events.event_name = 'purchase', 1, 0)) = 1 as purchased
        from shown
        inner join marts.session_events as events
            on shown.session_id = events.session_id
            and shown.item_id = events.item_id
            and shown.event_time <= events.event_time
            and dateadd(day, 30, shown.event_time) >= events.event_time
        where events.event_name in ('add_to_cart', 'purchase') and events.event_time >= (select event_time from since)
        group by shown.recommendation_id, shown.placement, shown.item_id
    )

    select
        shown.recommendation_id,
        shown.session_id,
        shown.visitor_id,
        shown.shopper_id,
        shown.placement,
        shown.claims:experiment::varchar as experiment,
        shown.claims:config_version::int as config_version,
        shown.claims:epoch::int as epoch,
        shown.claims:variant::varchar as variant,
        shown.claims:propensity::float as propensity,
        coalesce(shown.claims:is_holdout::boolean, false) as is_holdout,
        shown.claims:segment::varchar as segment,
        coalesce(shown.claims:degraded::boolean, false) as degraded,
        shown.item_id,
        shown.index,
        shown.event_time as shown_at,
        clicks.item_id is not null as clicked,
        coalesce(outcomes.carted, false) as carted,
        coalesce(outcomes.purchased, false) as purchased
    from shown
    left join clicks
        on shown.recommendation_id = clicks.recommendation_id
        and shown.placement = clicks.placement
        and shown.item_id = clicks.item_id
        and dateadd(day, 30, shown.event_time) >= clicks.clicked_at
    left join outcomes
        on shown.recommendation_id = outcomes.recommendation_id
        and shown.placement = outcomes.placement
        and shown.item_id = outcomes.item_id
) as source
    on target.recommendation_id = source.recommendation_id
    and target.placement = source.placement
    and target.item_id = source.item_id
when matched and source.shown_at <= target.shown_at then update set
    index = source.index,
    shown_at = source.shown_at,
    clicked = source.clicked,
    carted = source.carted,
    purchased = source.purchased
when not matched then insert (
    recommendation_id, session_id, visitor_id, shopper_id, placement, experiment, config_version, epoch, variant,
    propensity, is_holdout, segment, degraded, item_id, index, shown_at, clicked, carted, purchased
) values (
    source.recommendation_id, source.session_id, source.visitor_id, source.shopper_id, source.placement,
    source.experiment, source.config_version, source.epoch, source.variant, source.propensity, source.is_holdout,
    source.segment, source.degraded, source.item_id, source.index, source.shown_at, source.clicked, source.carted,
    source.purchased
);
