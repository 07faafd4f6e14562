"""Popularity x recency in context: the answer before the first event (Gamma-Poisson with forgetting)."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.domain.arrays import Counts, Floats, Ids, Rows


@dataclass(frozen=True, slots=True)
class Prior:
    """Global and per-context rates. A context is named like `category:…`, `page:…`, `hour:…`, `device:…`."""

    log_share: Floats  # (I,) log of the decayed share of each item
    trend: Floats  # (I,) log of short-run over long-run rate
    context_names: Ids  # (Q,) sorted
    context_offsets: Counts  # (Q + 1,) into context_items
    context_items: Rows  # items seen in the context
    context_counts: Floats  # their decayed counts
    strength: float  # kappa: how many decayed counts the global prior is worth in a context
