-- Grain: one item of one impression whose token was verified. Key: recommendation_id, placement, item_id.
-- A list counts when it was in view. A click is a select_item with the same recommendation and placement.
merge into marts.impressions as target
using (
    with touched as (
        select distinct claims:recommendation_id::varchar as recommendation_id
        from staging.stg_events
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and claims:recommendation_id is not null
    ),

    attributed as (
        select stg.event_name, stg.event_time, stg.session_id, stg.items, stg.claims, stg.visible
        from staging.stg_events as stg
        inner join touched on stg.claims:recommendation_id::varchar = touched.recommendation_id
        where stg.event_name in ('view_item_list', 'select_item')
    ),

    touches as (
        select
            attributed.claims:recommendation_id::varchar as recommendation_id,
            attributed.claims:placement::varchar as placement,
            attributed.claims:experiment::varchar as experiment,
            attributed.claims:epoch::int as epoch,
            attributed.claims:variant::varchar as variant,
            attributed.claims:propensity::float as propensity,
            attributed.session_id,
            attributed.event_name,
            attributed.event_time,
            attributed.visible,
            flat.value:item_id::varchar as item_id,
            coalesce(flat.value:index::int, flat.index) as index
        from attributed, lateral flatten(input => attributed.items) as flat
    ),

    clicks as (
        select distinct recommendation_id, placement, item_id
        from touches
        where event_name = 'select_item'
    ),

    shown as (
        select *
        from touches
        where event_name = 'view_item_list' and visible and item_id is not null
        qualify row_number() over (
            partition by recommendation_id, placement, item_id order by event_time, index
        ) = 1
    )

    select shown.*, clicks.item_id is not null as clicked
    from shown
    left join clicks
        on shown.recommendation_id = clicks.recommendation_id
        and shown.placement = clicks.placement
        and shown.item_id = clicks.item_id
) as source
    on target.recommendation_id = source.recommendation_id
    and target.placement = source.placement
    and target.item_id = source.item_id
when matched then update set
    index = source.index,
    shown_at = source.event_time,
    clicked = source.clicked
when not matched then insert (
    recommendation_id, session_id, placement, experiment, epoch, variant, propensity, item_id, index, shown_at, clicked
) values (
    source.recommendation_id, source.session_id, source.placement, source.experiment, source.epoch, source.variant,
    source.propensity, source.item_id, source.index, source.event_time, source.clicked
);
