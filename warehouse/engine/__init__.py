"""How statements reach Snowflake, or its stand-in on this machine."""
