"""The connection to Snowflake, or to its stand-in on this machine."""
