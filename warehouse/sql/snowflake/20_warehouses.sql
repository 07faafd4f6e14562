-- Snowflake only. Run as ACCOUNTADMIN after 10: compute by task, each suspended after a minute without work, and the
-- month's limit. docs/capacity.md says why these sizes. Generation 1 is what it counts; generation 2 merges faster and costs
-- more an hour: try it with a night of your own. Without the word an account's region and age decide.
create resource monitor if not exists recommender_month with
    credit_quota = 150
    frequency = monthly
    start_timestamp = immediately
    triggers
        on 75 percent do notify
        on 90 percent do notify
        on 100 percent do suspend
        on 110 percent do suspend_immediate;

create warehouse if not exists recommender_load
    warehouse_size = 'XSMALL'
    generation = '1'
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    statement_timeout_in_seconds = 1800
    comment = 'COPY INTO raw';

create warehouse if not exists recommender_transform
    warehouse_size = 'SMALL'
    generation = '1'
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    statement_timeout_in_seconds = 3600
    comment = 'the daily run and the exports';

create warehouse if not exists recommender_backfill
    warehouse_size = 'MEDIUM'
    generation = '1'
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    statement_timeout_in_seconds = 14400
    comment = 'a history in bulk, or a long range again';

alter warehouse recommender_load set resource_monitor = recommender_month;
alter warehouse recommender_transform set resource_monitor = recommender_month;
alter warehouse recommender_backfill set resource_monitor = recommender_month;

grant usage on warehouse recommender_load to role recommender_loader;
grant usage on warehouse recommender_transform to role recommender_transformer;
grant usage on warehouse recommender_transform to role recommender_exporter;
grant usage on warehouse recommender_transform to role recommender_reader;
-- The backfill DAG runs as the scheduler: a connection of its own may name this warehouse.
grant usage on warehouse recommender_backfill to role recommender_transformer;
