"""From a visit to a page: candidates, ranking, promises, assembly."""
