"""Where a history comes from. Each source gives the same four frames; columns are `warehouse.tables.RAW`."""
