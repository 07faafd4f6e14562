"""The hybrid's answer for one request: candidates scored once, for all placements of a page.

The ranker's score is a calibrated probability that the item is bought soon. Equal scores are ordered by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recommender.domain.arrays import Floats, Rows
from recommender.domain.bundle import Bundle
from recommender.domain.candidates import Candidates, candidates
from recommender.domain.context import PageContext
from recommender.domain.features import feature_rows
from recommender.domain.session import Session
from recommender.domain.shopper import Shopper

Level = Literal["prior", "session", "user"]
SMALLEST = 1e-6  # scores stay inside (0, 1)


@dataclass(frozen=True, slots=True)
class Ranked:
    """C candidates, best first."""

    rows: Rows  # (C,)
    scores: Floats  # (C,) in (0, 1), descending
    strengths: Floats  # (C, 9) as contracts.placements.SOURCES
    level: Level
    evidence: float  # weight of the visit's events that has survived, and one for each order of the past


def rank(bundle: Bundle, shopper: Shopper, session: Session, context: PageContext, *, limit: int = 600) -> Ranked:
    """The candidates of a request, best first."""
    found = candidates(bundle, shopper, session, context, limit=limit)
    features = feature_rows(bundle, shopper, session, context, found)  # (C, F)
    scores = np.clip(bundle.ranker({"features": features})["score"].ravel(), SMALLEST, 1.0 - SMALLEST)
    order = np.lexsort((found.rows, -scores))
    return Ranked(
        rows=found.rows[order],
        scores=scores[order].astype(np.float32),
        strengths=found.strengths[order],
        level=_level(found),
        evidence=found.signals.preference.evidence + found.signals.owned.count_orders,
    )


def _level(found: Candidates) -> Level:
    if len(found.signals.owned.rows):
        return "user"
    return "session" if len(found.signals.seen.rows) else "prior"
