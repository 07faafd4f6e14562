-- Snowflake only. Run as ACCOUNTADMIN after 20 and after the schemas exist (warehouse/ddl, as recommender_admin): the way
-- to S3 without keys. ROLE_ARN and buckets are placeholders; DESC INTEGRATION gives the principal and the external id
-- that the role's trust policy must name. The role may read landing/ and write exports/, nothing else.
create storage integration if not exists recommender_s3
    type = external_stage
    storage_provider = 's3'
    enabled = true
    storage_aws_role_arn = 'arn:aws:iam::000000000000:role/recommender-snowflake'
    storage_allowed_locations = ('s3://EVENTS_BUCKET/landing/', 's3://EXPORTS_BUCKET/exports/');

create file format if not exists recommender.raw.json_lines
    type = json
    compression = auto
    strip_outer_array = false
    strip_null_values = true;

create file format if not exists recommender.exports.parquet_files
    type = parquet
    compression = snappy;

create stage if not exists recommender.raw.landing
    url = 's3://EVENTS_BUCKET/landing/'
    storage_integration = recommender_s3
    file_format = recommender.raw.json_lines;

-- What `python -m warehouse.load` and the erasures put before they copy it. Made here, so that it belongs to nobody's
-- session; the key is Snowflake's, and what a killed load left is overwritten by the next.
create stage if not exists recommender.ops.loading
    encryption = (type = 'SNOWFLAKE_SSE');

create stage if not exists recommender.exports.unloaded
    url = 's3://EXPORTS_BUCKET/exports/'
    storage_integration = recommender_s3
    file_format = recommender.exports.parquet_files;

grant usage on integration recommender_s3 to role recommender_admin;
grant usage on stage recommender.raw.landing to role recommender_loader;
grant read on stage recommender.ops.loading to role recommender_loader;
grant write on stage recommender.ops.loading to role recommender_loader;
grant usage on stage recommender.exports.unloaded to role recommender_exporter;
grant usage on file format recommender.raw.json_lines to role recommender_loader;
grant usage on file format recommender.exports.parquet_files to role recommender_exporter;
