-- Grain: one session in which an item was looked at or put in the cart. Key: visitor_id, started_at.
-- The sequences are gathered first: the embedded engine loses the order of an aggregate within a MERGE.
delete from ops.visit_sequences;

insert into ops.visit_sequences (visitor_id, started_at, item_ids, count_items, derived)
with looked_at as (
    select
        visits.visitor_id,
        visits.started_at,
        visits.event_time,
        visits.event_id,
        visits.derived,
        flat.index as position,
        flat.value:item_id::varchar as item_id
    from ops.visit_events as visits, lateral flatten(input => visits.items) as flat
    where visits.event_name in ('view_item', 'add_to_cart')
),

steps as (
    select *
    from looked_at
    where item_id is not null
    qualify coalesce(
        lag(item_id) over (partition by visitor_id, started_at order by event_time, event_id, position), ''
    ) != item_id
)

select
    visitor_id,
    started_at,
    array_agg(item_id) within group (order by event_time, event_id, position) as item_ids,
    count(*) as count_items,
    max(iff(derived, 1, 0)) = 1 as derived
from steps
group by visitor_id, started_at;

merge into marts.browse_sequences as target
using (
    with superseded as (
        select distinct target.visitor_id, target.started_at
        from marts.browse_sequences as target
        inner join ops.visit_events as visits
            on target.visitor_id = visits.visitor_id
            and target.started_at = visits.event_time
            and target.started_at > visits.started_at
        where target.started_at >= %(sessions_from)s::timestamp_ntz
    )

    select
        sequences.visitor_id,
        sequences.started_at,
        sequences.item_ids,
        sequences.count_items,
        sequences.derived,
        sessions.shopper_id,
        false as is_superseded
    from ops.visit_sequences as sequences
    inner join marts.sessions as sessions
        on sequences.visitor_id = sessions.visitor_id and sequences.started_at = sessions.started_at
    union all
    select visitor_id, started_at, null, null, null, null, true
    from superseded
) as source
    on target.visitor_id = source.visitor_id
    and target.started_at = source.started_at
    and target.started_at >= %(sessions_from)s::timestamp_ntz
when matched and source.is_superseded then delete
when matched then update set
    shopper_id = source.shopper_id,
    item_ids = source.item_ids,
    count_items = source.count_items,
    derived = source.derived
when not matched then insert (visitor_id, started_at, shopper_id, item_ids, count_items, derived)
values (
    source.visitor_id, source.started_at, source.shopper_id, source.item_ids, source.count_items, source.derived
);
