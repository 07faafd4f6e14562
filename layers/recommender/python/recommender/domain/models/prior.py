"""Popularity x recency in context: the answer before the first event (Gamma-Poisson with forgetting).

Each item's rate has a Gamma prior and Poisson counts that fade by half every half-life, so its posterior mean is
(decayed count + smoothing) up to a factor all items share. A context (a category page, an hour, a query) has few
counts of its own and is shrunk to the global share: pi(j | c) = (n_cj + kappa pi_j) / (n_c + kappa). Several
contexts at once multiply their lifts pi(j | c) / pi_j, which is Bayes' rule for contexts that are independent
given the item. Hours of the day differ less than categories do, so a kind of context may have its own kappa:
dividing counts by kappa_c / kappa is the same as shrinking with kappa_c, and is done once, when the prior is built.

Letters: I items, Q contexts, n counts.

Where the shopper is: the page, its anchor, the cart and the moment.

Decisions: docs/decisions/serving.md (030).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Counts, Doubles, Floats, Ids, Rows


@dataclass(frozen=True, slots=True)
class PageContext:
    """The request's context. `now` is aware; `query_vec` is filled in where a search term was encoded."""

    page: str
    now: datetime
    item_id: str | None = None  # anchor of a product page
    category: str | None = None
    search_term: str | None = None
    cart_item_ids: tuple[str, ...] = ()
    device: str | None = None

    @property
    def anchors(self) -> tuple[str, ...]:
        """The subjects of the page: its item, then the cart."""
        return ((self.item_id,) if self.item_id else ()) + self.cart_item_ids


SMOOTHING = 0.5  # pseudo-counts of an item without any
STRENGTH = 50.0  # kappa
TREND_EVIDENCE = 5.0  # pseudo-counts that hold an item's short-run rate at its long-run rate


@dataclass(frozen=True, slots=True)
class Prior:
    """Global and per-context rates. A context is named like `category:…`, `page:…`, `hour:…`, `device:…`."""

    log_share: Floats  # (I,) log of the decayed share of each item
    trend: Floats  # (I,) log of short-run over long-run rate
    context_names: Ids  # (Q,) sorted
    context_offsets: Counts  # (Q + 1,) into context_items
    context_items: Rows  # items seen in the context
    context_counts: Floats  # their decayed counts, in units of `strength`
    strength: float  # kappa: how many decayed counts the global prior is worth in a context


@dataclass(frozen=True, slots=True)
class ContextCounts:
    """Decayed counts of the items seen in one context, each item once, and the kappa of this kind of context."""

    rows: Rows
    counts: Floats
    strength: float | None = None  # None: the prior's own


def decay(ages_days: NDArray[np.floating], *, half_life_days: float) -> Doubles:
    """Weigh an observation by its age: 0.5 ** (age / half-life)."""
    weights: Doubles = np.exp2(-np.asarray(ages_days, np.float64) / half_life_days)
    return weights


def build_prior(
    counts: NDArray[np.floating],
    *,
    trend: NDArray[np.floating] | None = None,
    contexts: Mapping[str, ContextCounts] | None = None,
    smoothing: float = SMOOTHING,
    strength: float = STRENGTH,
) -> Prior:
    """The prior of decayed counts (I,), with what each context has counted; items of a context stand best first."""
    smoothed = np.asarray(counts, np.float64) + smoothing  # (I,)
    by_name = {name.encode(): _best_first(found, strength) for name, found in (contexts or {}).items()}
    names = sorted(by_name)
    sizes = [len(by_name[name].rows) for name in names]
    return Prior(
        log_share=np.log(smoothed / smoothed.sum()).astype(np.float32),
        trend=np.zeros(len(smoothed), np.float32) if trend is None else np.asarray(trend, np.float32),
        context_names=np.array(names, dtype=np.bytes_),
        context_offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        context_items=_joined([by_name[name].rows for name in names], np.int32),
        context_counts=_joined([by_name[name].counts for name in names], np.float32),
        strength=strength,
    )


def log_trend(
    recent: NDArray[np.floating],
    long_run: NDArray[np.floating],
    *,
    recent_exposure: float,
    long_run_exposure: float,
    evidence: float = TREND_EVIDENCE,
) -> Floats:
    """(I,) log of the short-run rate over the long-run rate, held at 0 by `evidence` pseudo-counts.

    With lambda = long-run rate and a Gamma(evidence, evidence / lambda) prior on the short-run rate, the
    posterior mean over lambda is (recent + evidence) / (lambda exposure + evidence). An exposure is the sum of the
    decay weights over time, in days.
    """
    expected = np.asarray(long_run, np.float64) * (recent_exposure / max(long_run_exposure, 1e-9))
    trend: Floats = np.log((np.asarray(recent, np.float64) + evidence) / (expected + evidence)).astype(np.float32)
    return trend


def log_prior(prior: Prior, contexts: Sequence[str] = ()) -> Floats:
    """(I,) log probability of each item in these contexts together; an unknown context changes nothing."""
    known = [found for name in dict.fromkeys(contexts) if (found := context_counts(prior, name)) is not None]
    if not known:
        return prior.log_share
    joint = prior.log_share.astype(np.float64)  # (I,)
    for found in known:
        pseudo = prior.strength * np.exp(prior.log_share[found.rows].astype(np.float64))  # kappa pi_j
        joint[found.rows] += np.log1p(found.counts / pseudo)  # the lift, up to a factor all items share
    joint -= _log_sum(joint)
    return joint.astype(np.float32)


def contexts_of(page: PageContext) -> tuple[str, ...]:
    """The names of the contexts that a page stands in."""
    named = {
        "category": page.category,
        "device": page.device,
        "hour": f"{page.now.astimezone(UTC).hour:02d}",
        "page": page.page,
        "query": normal_query(page.search_term) if page.search_term else None,
    }
    return tuple(f"{kind}:{value}" for kind, value in named.items() if value)


def normal_query(text: str) -> str:
    """A search term as it is counted: lower case, single spaces."""
    return " ".join(text.lower().split())


def context_counts(prior: Prior, name: str) -> ContextCounts | None:
    """Return the items counted in the context, best first; None for an unknown context."""
    wanted = name.encode()
    place = int(np.searchsorted(prior.context_names, wanted)) if len(prior.context_names) else 0
    if place >= len(prior.context_names) or bytes(prior.context_names[place]) != wanted:
        return None
    span = slice(int(prior.context_offsets[place]), int(prior.context_offsets[place + 1]))
    return ContextCounts(prior.context_items[span], prior.context_counts[span])


def _best_first(found: ContextCounts, strength: float) -> ContextCounts:
    order = np.lexsort((found.rows, -found.counts))
    unit = strength / (found.strength or strength)
    return ContextCounts(found.rows[order], (found.counts[order] * unit).astype(np.float32))


def _joined(parts: Sequence[NDArray[np.generic]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts).astype(kind) if parts else np.empty(0, kind)


def _log_sum(values: Doubles) -> float:
    top = float(values.max())
    shifted = values - top
    return top + float(np.log(np.exp(shifted, out=shifted).sum()))
