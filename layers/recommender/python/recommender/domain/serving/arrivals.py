"""New arrivals: items that nobody has bought yet, ranked by what is known without a purchase.

    TRIED log tried(j) + log lift(category) + log lift(department) + CONTENT cosine(text, taste)

tried(j) of an arrival is what earlier arrivals of its category were (see the discovery counts). A lift is the share
of the shopper's different items that are of the category over everybody's share; it is held at 1 by a small share
of everybody's. Letters: A arrivals, I items.

Decisions: docs/decisions/benchmarks.md (102).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.signals import Signals

TRIED: Final = 0.5
CONTENT: Final = 2.0
CATEGORY_SHARE: Final = 0.001  # what a shopper is granted of everything
DEPARTMENT_SHARE: Final = 0.005


def arrivals(bundle: Bundle) -> Rows:
    """(A,) rows of the items that nobody has bought."""
    return np.flatnonzero(bundle.items.popularity <= 0.0).astype(np.int32)


def arrival_scores(bundle: Bundle, signals: Signals, rows: Rows) -> NDArray[np.floating]:
    """(A,) how likely the shopper is to try each of these arrivals, as a log up to a constant."""
    items = bundle.items
    scores = TRIED * bundle.discovery.log_tried[rows].astype(np.float64)
    if not len(signals.owned.rows):
        return scores
    for codes, granted in ((items.category, CATEGORY_SHARE), (items.department, DEPARTMENT_SHARE)):
        scores += _log_lift(codes, np.expm1(items.popularity), signals.owned.rows, granted)[codes[rows]]
    if signals.taste is not None:
        scores += CONTENT * (bundle.content_vectors @ signals.taste)[items.content_row[rows]]  # fewer texts than items
    return scores


def _log_lift(codes: Rows, popularity: NDArray[np.floating], owned: Rows, granted: float) -> NDArray[np.floating]:
    """(codes,) log of the shopper's share of each code over everybody's."""
    count = int(codes.max(initial=0)) + 1
    everyone = np.bincount(codes, weights=popularity, minlength=count).astype(np.float64)
    everyone = everyone / max(float(everyone.sum()), 1e-9)
    own = np.bincount(codes[owned], minlength=count).astype(np.float64) / max(len(owned), 1)
    lifts: NDArray[np.floating] = np.log((own + granted) / (everyone + granted))
    return lifts
