-- Who is on the way out: the shoppers that asked, the browsers they were seen in, the sessions of both; and which items
-- on which days they had to do with, without saying who. Reads all history: a request is rare, a second scan of
-- raw.events a day is not worth an index.
delete from ops.erasing;

insert into ops.erasing (id, kind, erased_until)
select shopper_id, 'shopper', max(coalesce(requested_at, loaded_at))
from raw.erasures
where loaded_at < %(loaded_until)s::timestamp_ntz and shopper_id is not null
group by shopper_id;

insert into ops.erasing (id, kind, erased_until)
select events.visitor_id, 'visitor', max(gone.erased_until)
from raw.events as events
inner join ops.erasing as gone on events.user_id = gone.id
where gone.kind = 'shopper' and events.visitor_id is not null
group by events.visitor_id;

-- A visitor who never signed in may ask as well, under the visitor id.
insert into ops.erasing (id, kind, erased_until)
select id, 'visitor', erased_until
from ops.erasing
where kind = 'shopper' and id not in (select id from ops.erasing where kind = 'visitor');

insert into ops.erasing (id, kind, erased_until)
select events.session_id, 'session', max(gone.erased_until)
from staging.stg_events as events
inner join ops.erasing as gone on events.shopper_id = gone.id
where gone.kind in ('shopper', 'visitor')
group by events.session_id;

insert into ops.touched_items (item_id, touched_on, loaded_at)
with seen as (
    select events.item_id, to_date(events.event_time) as touched_on
    from marts.session_events as events
    inner join ops.erasing as gone on events.shopper_id = gone.id
    where gone.kind in ('shopper', 'visitor') and events.item_id is not null
    union
    select lines.item_id, to_date(lines.purchased_at)
    from marts.order_lines as lines
    inner join ops.erasing as gone on lines.shopper_id = gone.id
    where gone.kind in ('shopper', 'visitor')
)

select item_id, touched_on, dateadd(microsecond, -1, %(loaded_until)s::timestamp_ntz)
from seen;
