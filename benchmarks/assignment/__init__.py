"""The benchmark `assignment`."""
