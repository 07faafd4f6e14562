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
    strip_outer_array = false;

create file format if not exists recommender.raw.parquet_files
    type = parquet
    use_logical_type = true;

create stage if not exists recommender.raw.landing
    url = 's3://EVENTS_BUCKET/landing/'
    storage_integration = recommender_s3
    file_format = recommender.raw.json_lines;

create stage if not exists recommender.exports.unloaded
    url = 's3://EXPORTS_BUCKET/exports/'
    storage_integration = recommender_s3
    file_format = recommender.raw.parquet_files;

grant usage on integration recommender_s3 to role recommender_admin;
grant usage on stage recommender.raw.landing to role recommender_loader;
grant usage on stage recommender.exports.unloaded to role recommender_exporter;
grant usage on file format recommender.raw.json_lines to role recommender_loader;
grant usage on file format recommender.raw.parquet_files to role recommender_exporter;
