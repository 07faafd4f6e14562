-- Snowflake only. Run as ACCOUNTADMIN last: how long the past can be read again, and the order in which the large tables lie.
-- An erased shopper stays readable by time travel for this long and by fail-safe for 7 days after; name both in the
-- privacy notice. Work tables that each run starts anew need no past at all: they are transient (no fail-safe), and here
-- without time travel.
alter table recommender.raw.events set data_retention_time_in_days = 1;
alter table recommender.raw.purchases set data_retention_time_in_days = 7;
alter table recommender.staging.stg_events set data_retention_time_in_days = 1;
alter table recommender.marts.order_lines set data_retention_time_in_days = 7;
alter table recommender.marts.shopper_profiles set data_retention_time_in_days = 7;
alter table recommender.ops.landed_records set data_retention_time_in_days = 0;
alter table recommender.ops.visit_events set data_retention_time_in_days = 0;
alter table recommender.ops.visit_sequences set data_retention_time_in_days = 0;
alter table recommender.ops.touched_orders set data_retention_time_in_days = 0;
alter table recommender.ops.touched_shoppers set data_retention_time_in_days = 0;
alter table recommender.ops.touched_visitors set data_retention_time_in_days = 0;
alter table recommender.ops.touched_item_days set data_retention_time_in_days = 0;
alter table recommender.ops.erasing set data_retention_time_in_days = 0;

-- Raw is loaded in the order of its load time and needs no key. These are read by the day of an event, but rows arrive
-- up to 30 days late; reclustering then moves the partitions of a month, not those of three years.
alter table recommender.staging.stg_events cluster by (to_date(event_time));
alter table recommender.marts.session_events cluster by (to_date(event_time));
alter table recommender.marts.sessions cluster by (to_date(started_at));
alter table recommender.marts.impressions cluster by (to_date(shown_at));
alter table recommender.marts.order_lines cluster by (to_date(purchased_at));
-- Below about a hundred partitions (some GB) a key costs more than it saves: carts, searches, reviews have none.
