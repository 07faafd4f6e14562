-- Snowflake only. Run as ACCOUNTADMIN, once: the database, five roles and the users of the services.
-- A role may do what its task needs and nothing else; administrators get the sum of them, services one each.
-- The order: 10 and 20; the layers by recommender_admin (any `python -m warehouse` command creates them); 30, 50, 60, 70;
-- 40 only where the pipe is wanted. All may be run again. After a change of warehouse/ddl or warehouse/exports the
-- administrator creates the layers again, before the schedule runs: its own role may not, and need not where they are
-- there (warehouse/engine/schema.py).
-- RSA_PUBLIC_KEY values are placeholders: `openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes256 -out key.p8`, and the
-- public half of it here. A second key (RSA_PUBLIC_KEY_2) lets a key be changed without a gap.
-- Retention of more than a day needs the Enterprise edition, as masking does (70); on Standard write 1.
create database if not exists recommender data_retention_time_in_days = 7;

create role if not exists recommender_loader comment = 'writes raw and its ledger';
create role if not exists recommender_transformer comment = 'runs the days: staging, marts, quality, ops; erases from raw';
create role if not exists recommender_exporter comment = 'reads exports and unloads them to S3';
create role if not exists recommender_reader comment = 'reads marts, exports and the results of checks';
create role if not exists recommender_admin comment = 'creates the layers; the four others are granted to it';

grant role recommender_loader to role recommender_admin;
grant role recommender_transformer to role recommender_admin;
grant role recommender_exporter to role recommender_admin;
grant role recommender_reader to role recommender_admin;
grant role recommender_admin to role sysadmin;

grant usage on database recommender to role recommender_loader;
grant usage on database recommender to role recommender_transformer;
grant usage on database recommender to role recommender_exporter;
grant usage on database recommender to role recommender_reader;
grant usage, create schema on database recommender to role recommender_admin;

-- One session of the schedule loads, runs and exports; its role holds the three together, and not the administrator's.
create role if not exists recommender_scheduler comment = 'loader, transformer and exporter in one session';
grant role recommender_loader to role recommender_scheduler;
grant role recommender_transformer to role recommender_scheduler;
grant role recommender_exporter to role recommender_scheduler;
grant role recommender_scheduler to role sysadmin;

-- Services sign in by key pair (SNOWFLAKE_PRIVATE_KEY_FILE and …_PWD); TYPE = SERVICE refuses passwords for good.
-- Without DEFAULT_SECONDARY_ROLES = () a new user's sessions have the rights of all its roles at once.
create user if not exists recommender_airflow
    type = service
    default_role = recommender_scheduler
    default_secondary_roles = ()
    default_warehouse = recommender_transform
    default_namespace = recommender.marts
    rsa_public_key = 'PUBLIC_KEY_OF_AIRFLOW';
grant role recommender_scheduler to user recommender_airflow;

-- Only from the addresses of the schedule's NAT gateways; 203.0.113.0/24 is a placeholder.
create network policy if not exists recommender_services allowed_ip_list = ('203.0.113.10', '203.0.113.11');
alter user recommender_airflow set network_policy = recommender_services;
