"""The session layer's job: counted statistics, session-kNN index, session encoder and ranker."""
