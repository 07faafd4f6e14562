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
        where
            happened.event_name in ('add_to_cart', 'purchase')
            and impressions.shown_at <= happened.event_time
            and impressions.shown_at >= %(events_from)s::timestamp_ntz
    ),

    -- The claims are read once a list here, not once an item below.
    lists as (
        select
            claims:recommendation_id::varchar as recommendation_id,
            claims:placement::varchar as placement,
            claims:experiment::varchar as experiment,
            claims:config_version::int as config_version,
            claims:epoch::int as epoch,
            claims:variant::varchar as variant,
            claims:propensity::float as propensity,
            coalesce(claims:is_holdout::boolean, false) as is_holdout,
            claims:segment::varchar as segment,
            coalesce(claims:degraded::boolean, false) as degraded,
            event_id,
            event_name,
            event_time,
            session_id,
            visitor_id,
            shopper_id,
            items
        from staging.stg_events
        where
            event_time >= (select event_time from since)
            and (event_name = 'select_item' or (event_name = 'view_item_list' and visible))
            and claims is not null
    ),

    touches as (
        select
            lists.recommendation_id,
            lists.placement,
            lists.session_id,
            lists.event_id,
            lists.event_name,
            lists.event_time,
            flat.value:item_id::varchar as item_id,
            coalesce(flat.value:index::int, flat.index) as index
        from lists
        inner join touched on lists.recommendation_id = touched.recommendation_id,
        lateral flatten(input => lists.items) as flat
        where lists.placement is not null
    ),

    clicks as (
        select recommendation_id, placement, item_id, min(event_time) as clicked_at
        from touches
        where event_name = 'select_item'
        group by recommendation_id, placement, item_id
    ),

    firsts as (
        select *
        from touches
        where event_name = 'view_item_list' and item_id is not null
        qualify row_number() over (
            partition by recommendation_id, placement, item_id order by event_time, index, event_id
        ) = 1
    ),

    shown as (
        select lists.*, firsts.item_id, firsts.index
        from firsts
        inner join lists on firsts.event_id = lists.event_id and firsts.session_id = lists.session_id
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
        shown.experiment,
        shown.config_version,
        shown.epoch,
        shown.variant,
        shown.propensity,
        shown.is_holdout,
        shown.segment,
        shown.degraded,
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
    and target.shown_at >= %(events_from)s::timestamp_ntz
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
