-- Grain: one session of a visitor. Key: visitor_id, started_at. A late event may join two sessions into one: what
-- began within a session that began earlier is deleted. Then has_history of the sessions of touched shoppers.
merge into marts.sessions as target
using (
    with ordered as (
        select
            *,
            row_number() over (partition by visitor_id, started_at order by event_time, event_id) as place
        from ops.visit_events
    ),

    visits as (
        select
            visitor_id,
            started_at,
            max(event_time) as ended_at,
            coalesce(max(user_id), visitor_id) as shopper_id,
            max(iff(place = 1, event_name, null)) as first_event,
            max(iff(place = 1, item_id, null)) as landing_item_id,
            count(*) as count_events,
            sum(iff(event_name = 'view_item_list', 1, 0)) as count_lists,
            sum(iff(event_name = 'view_item', 1, 0)) as count_views,
            sum(iff(event_name = 'search', 1, 0)) as count_searches,
            sum(iff(event_name = 'add_to_cart', 1, 0)) as count_cart_additions,
            sum(iff(event_name = 'purchase', 1, 0)) as count_purchases,
            max(iff(derived, 1, 0)) = 1 as derived
        from ordered
        group by visitor_id, started_at
    ),

    superseded as (
        select distinct target.visitor_id, target.started_at
        from marts.sessions as target
        inner join visits
            on target.visitor_id = visits.visitor_id
            and target.started_at > visits.started_at
            and target.started_at <= visits.ended_at
        where target.started_at >= %(sessions_from)s::timestamp_ntz
    )

    select
        visits.*,
        case visits.first_event
            when 'search' then 'search'
            when 'view_item_list' then 'list'
            when 'purchase' then 'order'
            when 'view_cart' then 'cart'
            when 'remove_from_cart' then 'cart'
            when 'begin_checkout' then 'cart'
            else 'product'
        end as landing,
        coalesce(profiles.first_ordered_at < visits.started_at, false) as has_history,
        false as is_superseded
    from visits
    left join marts.shopper_profiles as profiles on visits.shopper_id = profiles.shopper_id
    union all
    select
        visitor_id, started_at, null, null, null, null, null, null, null, null, null, null, null, null, null, true
    from superseded
) as source
    on target.visitor_id = source.visitor_id
    and target.started_at = source.started_at
    and target.started_at >= %(sessions_from)s::timestamp_ntz
when matched and source.is_superseded then delete
when matched then update set
    ended_at = source.ended_at,
    shopper_id = source.shopper_id,
    landing = source.landing,
    landing_item_id = source.landing_item_id,
    count_events = source.count_events,
    count_lists = source.count_lists,
    count_views = source.count_views,
    count_searches = source.count_searches,
    count_cart_additions = source.count_cart_additions,
    count_purchases = source.count_purchases,
    has_history = source.has_history,
    derived = source.derived
when not matched then insert (
    visitor_id, started_at, ended_at, shopper_id, landing, landing_item_id, count_events, count_lists, count_views,
    count_searches, count_cart_additions, count_purchases, has_history, derived
) values (
    source.visitor_id, source.started_at, source.ended_at, source.shopper_id, source.landing, source.landing_item_id,
    source.count_events, source.count_lists, source.count_views, source.count_searches, source.count_cart_additions,
    source.count_purchases, source.has_history, source.derived
);

merge into marts.sessions as target
using (
    select distinct touched.shopper_id, profiles.first_ordered_at
    from ops.touched_shoppers as touched
    left join marts.shopper_profiles as profiles on touched.shopper_id = profiles.shopper_id
) as source
    on target.shopper_id = source.shopper_id
when matched and target.has_history != coalesce(source.first_ordered_at < target.started_at, false) then update set
    has_history = coalesce(source.first_ordered_at < target.started_at, false);
