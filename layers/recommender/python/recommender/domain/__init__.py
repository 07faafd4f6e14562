"""Pure recommendation logic: values in, values out. No clock, no random source, no store, no log."""
