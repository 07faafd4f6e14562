"""The warehouse: Snowflake SQL from raw to exports, and the small runner that loads, runs and unloads it."""
