"""From marts to Parquet parts with a manifest."""
