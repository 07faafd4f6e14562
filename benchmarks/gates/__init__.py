"""The benchmark `gates`."""
