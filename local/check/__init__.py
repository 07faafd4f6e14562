"""The acceptance of the whole system, made by the system itself: named checks over real HTTP, one JSON line."""
