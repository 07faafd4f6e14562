"""The hybrid's answer for one request: candidates scored once, for all placements of a page.

The ranker's score is a calibrated probability that the item is bought soon. Before anything is known of the visitor
the page alone decides: its category, hour and query multiply the odds by the prior's lift, since the ranker knows of
no page. Equal scores are ordered by row.

Decisions: docs/decisions/serving.md (104).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.candidates import Candidates, candidates
from recommender.domain.serving.features import features_of
from recommender.domain.serving.signals import Signals
from recommender.domain.serving.visit import Session, Shopper

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
    features = features_of(bundle, found.signals, found.rows)  # (C, F)
    scores = bundle.ranker({"features": features})["score"].ravel()
    scores = in_context(bundle, found.signals, found.rows, scores)
    order = np.lexsort((found.rows, -scores))
    return Ranked(
        rows=found.rows[order],
        scores=scores[order].astype(np.float32),
        strengths=found.strengths[order],
        level=_level(found),
        evidence=found.signals.preference.evidence + found.signals.owned.count_orders,
    )


def in_context(bundle: Bundle, signals: Signals, rows: Rows, scores: Floats) -> Floats:
    """(C,) scores inside (0, 1); of a stranger's first pageview, times the lift of the page's contexts as odds."""
    inside = np.clip(scores, SMALLEST, 1.0 - SMALLEST)
    if len(signals.owned.rows) or len(signals.seen.rows) or len(signals.seen.anchors):
        return inside.astype(np.float32)
    lift = signals.log_prior[rows] - bundle.prior.log_share[rows]
    odds = np.log(inside / (1.0 - inside)) + lift
    lifted: Floats = np.clip(1.0 / (1.0 + np.exp(-odds)), SMALLEST, 1.0 - SMALLEST).astype(np.float32)
    return lifted


def _level(found: Candidates) -> Level:
    if len(found.signals.owned.rows):
        return "user"
    return "session" if len(found.signals.seen.rows) else "prior"
