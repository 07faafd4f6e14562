-- Snowflake only. Run as ACCOUNTADMIN after warehouse/ddl and warehouse/exports have made tables and views, and again
-- after a new schema: who may do what in each layer. Tables made later are covered by the future grants.
grant usage on schema recommender.raw to role recommender_loader;
grant usage on schema recommender.ops to role recommender_loader;
grant create stage on schema recommender.ops to role recommender_loader;
-- A delivery may bring a new column, and only a table's owner may add one.
grant ownership on table recommender.raw.events to role recommender_loader copy current grants;
grant ownership on table recommender.raw.purchases to role recommender_loader copy current grants;
grant ownership on table recommender.raw.items to role recommender_loader copy current grants;
grant ownership on table recommender.raw.shoppers to role recommender_loader copy current grants;
grant ownership on table recommender.raw.reviews to role recommender_loader copy current grants;
grant ownership on table recommender.raw.erasures to role recommender_loader copy current grants;
grant ownership on table recommender.raw.rejects to role recommender_loader copy current grants;
grant select on table recommender.ops.layers to role recommender_loader;
grant select, insert on table recommender.ops.loads to role recommender_loader;
grant select, insert, update on table recommender.ops.new_columns to role recommender_loader;
grant select, insert, delete on table recommender.ops.rejected_lines to role recommender_loader;
grant select, insert, delete on table recommender.ops.landed_records to role recommender_loader;
grant select, update on table recommender.ops.leases to role recommender_loader;
grant select, insert, update on table recommender.ops.runs to role recommender_loader;

-- The daily run writes the layers above raw; from raw it reads, and deletes whom an erasure names.
grant usage on schema recommender.raw to role recommender_transformer;
grant usage on schema recommender.staging to role recommender_transformer;
grant usage on schema recommender.marts to role recommender_transformer;
grant usage on schema recommender.ops to role recommender_transformer;
grant usage on schema recommender.quality to role recommender_transformer;
grant select, delete on all tables in schema recommender.raw to role recommender_transformer;
grant select, delete on future tables in schema recommender.raw to role recommender_transformer;
grant select, insert, update, delete on all tables in schema recommender.staging to role recommender_transformer;
grant select, insert, update, delete on future tables in schema recommender.staging to role recommender_transformer;
grant select, insert, update, delete on all tables in schema recommender.marts to role recommender_transformer;
grant select, insert, update, delete on future tables in schema recommender.marts to role recommender_transformer;
grant select, insert, update, delete on all tables in schema recommender.ops to role recommender_transformer;
grant select, insert, update, delete on future tables in schema recommender.ops to role recommender_transformer;
grant select, insert, update, delete on all tables in schema recommender.quality to role recommender_transformer;
grant select, insert, update, delete on future tables in schema recommender.quality to role recommender_transformer;
grant select on all views in schema recommender.staging to role recommender_transformer;
grant select on future views in schema recommender.staging to role recommender_transformer;
grant select on all views in schema recommender.marts to role recommender_transformer;
grant select on future views in schema recommender.marts to role recommender_transformer;

-- Views run with their owner's rights: the exporter sees what an export promises, not the marts behind it.
grant usage on schema recommender.exports to role recommender_exporter;
grant select on all views in schema recommender.exports to role recommender_exporter;
grant select on future views in schema recommender.exports to role recommender_exporter;
grant usage on schema recommender.quality to role recommender_exporter;
grant select on table recommender.quality.results to role recommender_exporter;
-- Up to when the exported data go, and whether the layers are there.
grant usage on schema recommender.ops to role recommender_exporter;
grant select on table recommender.ops.watermarks to role recommender_exporter;
grant select on table recommender.ops.layers to role recommender_exporter;

grant usage on schema recommender.marts to role recommender_reader;
grant usage on schema recommender.exports to role recommender_reader;
grant usage on schema recommender.quality to role recommender_reader;
grant select on all tables in schema recommender.marts to role recommender_reader;
grant select on future tables in schema recommender.marts to role recommender_reader;
grant select on all views in schema recommender.marts to role recommender_reader;
grant select on future views in schema recommender.marts to role recommender_reader;
grant select on all views in schema recommender.exports to role recommender_reader;
grant select on future views in schema recommender.exports to role recommender_reader;
grant select on table recommender.quality.results to role recommender_reader;
grant usage on schema recommender.ops to role recommender_reader;
grant select on table recommender.ops.layers to role recommender_reader;
grant select on table recommender.ops.loads to role recommender_reader;
grant select on table recommender.ops.runs to role recommender_reader;
grant select on table recommender.ops.watermarks to role recommender_reader;
