"""The benchmark `epoch_job`."""
