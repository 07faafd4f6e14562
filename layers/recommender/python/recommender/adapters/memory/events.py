"""The landing of events in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any


class MemoryEvents:
    """An EventSink; `batches` holds what was delivered, by day and batch id."""

    def __init__(self) -> None:
        self.batches: dict[tuple[str, str], list[Mapping[str, Any]]] = {}

    def deliver(self, batch_id: str, records: Sequence[Mapping[str, Any]], *, accepted_at: datetime) -> None:
        """Store a batch; the same batch again replaces it."""
        self.batches[accepted_at.date().isoformat(), batch_id] = list(records)
