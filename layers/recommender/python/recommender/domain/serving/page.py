"""Joint page assembly: one ranking serves up to twelve placements, and no item stands twice on the page.

The ranker has scored each candidate once; a placement adds weight * strength of its sources to the log-odds
of that score, so twelve placements cost one ranker call and one small matrix product, and what orders a
list is still a probability. Placements with the strongest sources choose first (they have the fewest
alternatives), general ones take what is left. Eligibility comes last, and again after each fallback, so
that nothing can slip past it.
Letters: C candidates, P placements, N items of a list, 9 sources.

Decisions: docs/decisions/serving.md (050, 051).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final

import numpy as np

from recommender.contracts.answers import Reason
from recommender.contracts.placements import CANARY, SOURCES, Placement
from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.eligibility import Gate, Stock, View, gate
from recommender.domain.serving.promises import Kept, Visit, keep_promises
from recommender.domain.serving.ranking import Ranked
from recommender.domain.serving.reasons import (
    FALLBACK,
    Evidence,
    evidence,
    promise_reasons,
    ranked_reasons,
    segment_reason,
)
from recommender.domain.serving.selection import Shown, category_cap, trade, walk
from recommender.domain.serving.visit import Shopper

MARGIN_POOL: Final = 3  # the margin policy looks at this many times the list's length
LAST_RESORT: Final = 500  # most popular items that are looked through when every list is used up


@dataclass(frozen=True, slots=True)
class Slot:
    """A placement to fill, the policy that fills it, and how many items it takes."""

    placement: Placement
    variant: str
    limit: int


@dataclass(frozen=True, slots=True)
class PageItem:
    """One item of a list: its row in the bundle, the score that ordered it, and why it is there."""

    row: int
    score: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class FilledList:
    """A list as it is shown under `name`, or why it is hidden; then it has neither items nor a name of its own."""

    items: tuple[PageItem, ...]
    name: str
    hidden_reason: str | None = None


def assemble(
    bundle: Bundle, ranked: Ranked | None, visit: Visit, slots: Sequence[Slot], *, stock: Stock
) -> list[FilledList]:
    """The list of each slot, in the order asked for; without a ranking, fallback lists fill all of them.

    Raises KeyError for a variant that is none of POLICY_LISTS.
    """
    rules = gate(bundle, stock, visit.shopper, visit.session, visit.context)
    kept = keep_promises(bundle, visit, rules, [slot.placement for slot in slots])
    found = evidence(bundle, visit.session, visit.context)
    shown = Shown()
    filling = Filling(
        precomputed=PrecomputedLists(bundle, rules, shown, found),
        ranked=None if ranked is None else RankedLists(bundle, ranked, rules, shown, found, slots),
        shopper=visit.shopper,
    )
    for promised in kept:
        shown.keep_back(bundle, promised.rows)
    filled: dict[int, list[PageItem]] = {}
    # The sort is stable, so without a ranking, and between equals, the order asked for stays.
    for n in sorted(range(len(slots)), key=lambda n: -filling.strongest_source(n)):
        slot, promised = slots[n], kept[n]
        if promised.promise is None:
            continue
        shown.let_go(bundle, promised.rows)
        chosen = POLICY_LISTS[slot.variant](filling, n, slot, promised)
        filled[n] = chosen + filling.precomputed.from_fallback(slot, promised, slot.limit - len(chosen))
    return [_named(slots[n].placement, kept[n], filled.get(n, ())) for n in range(len(slots))]


def _named(placement: Placement, kept: Kept, items: Sequence[PageItem]) -> FilledList:
    name = placement.name if kept.promise is None else kept.promise.name
    return FilledList(tuple(items), name, kept.hidden_reason)


class RankedLists:
    """Lists of the ranked candidates: within eligibility, spread over categories."""

    def __init__(
        self, bundle: Bundle, ranked: Ranked, rules: Gate, shown: Shown, found: Evidence, slots: Sequence[Slot]
    ) -> None:
        """Look up once what every placement needs of the C candidates."""
        self._bundle, self._ranked, self._shown, self._evidence, self._slots = bundle, ranked, shown, found, slots
        self._view: View = rules.view(ranked.rows)
        self._rows: list[int] = ranked.rows.tolist()
        self._groups: list[int] = bundle.items.content_row[ranked.rows].tolist()
        self._categories: list[int] = bundle.items.category[ranked.rows].tolist()
        self._weights = source_weights([slot.placement for slot in slots])
        self._strongest = ranked.strengths.max(axis=0, initial=0.0)  # (9,)
        log_odds = np.log(ranked.scores) - np.log1p(-ranked.scores)  # (C,)
        self._log_odds: Floats = log_odds + self._weights @ ranked.strengths.T  # (P, C)

    def strongest_source(self, n: int) -> float:
        """Weigh each source of the n-th slot by its best candidate, and return the highest weight."""
        return float((self._weights[n] * self._strongest).max())

    def by_score(self, n: int, kept: Kept) -> list[PageItem]:
        """Fill the n-th slot from what keeps its promise, best first."""
        return self._listed(n, self._walk(n)(self._best_first(n, kept)))

    def by_margin(self, n: int, kept: Kept) -> list[PageItem]:
        """The same, trading a bounded share of the score for margin."""
        slot, log_odds = self._slots[n], self._log_odds[n]
        pool = self._unshown(self._best_first(n, kept), MARGIN_POOL * slot.limit)
        cents = self._bundle.items.margin_share[self._ranked.rows[pool]] * self._view.price_cents[pool]
        max_loss = slot.placement.max_relevance_loss
        return self._listed(n, trade(pool, sigmoid(log_odds[pool]), cents, self._walk(n), max_loss=max_loss))

    def _listed(self, n: int, positions: Sequence[int]) -> list[PageItem]:
        log_odds = self._log_odds[n]
        rows = [self._rows[position] for position in positions]
        for position in positions:
            self._shown.add(self._rows[position], self._groups[position])
        scores = sigmoid(log_odds[positions]).tolist()
        reasons = ranked_reasons(self._evidence, rows, self._ranked.strengths[positions], self._weights[n])
        return [PageItem(row, score, why) for row, score, why in zip(rows, scores, reasons, strict=True)]

    def _best_first(self, n: int, kept: Kept) -> list[int]:
        """The positions of what is allowed in the n-th slot and keeps its promise."""
        allowed = self._view.allowed(self._slots[n].placement) & kept.holds(self._bundle, self._ranked.rows)
        places = np.flatnonzero(allowed)
        order: list[int] = places[np.argsort(-self._log_odds[n][places], kind="stable")].tolist()
        return order

    def _walk(self, n: int) -> Callable[[Sequence[int]], list[int]]:
        slot = self._slots[n]
        return partial(
            walk,
            rows=self._rows,
            groups=self._groups,
            categories=self._categories,
            shown=self._shown,
            limit=slot.limit,
            cap=category_cap(slot.placement, slot.limit),
        )

    def _unshown(self, order: Iterable[int], limit: int) -> list[int]:
        """The first `limit` positions of `order` whose items are new to the page."""
        unshown = (position for position in order if self._rows[position] not in self._shown.rows)
        return list(islice(unshown, limit))


class PrecomputedLists:
    """Lists that training made beforehand: the incumbent's segments, the fallbacks, the most popular."""

    def __init__(self, bundle: Bundle, rules: Gate, shown: Shown, found: Evidence) -> None:
        """Lists of `bundle` under the rules of one request, on one page."""
        self._bundle, self._rules, self._shown, self._evidence = bundle, rules, shown, found

    def from_segment(self, slot: Slot, kept: Kept, shopper: Shopper) -> list[PageItem]:
        """The incumbent: the list of the shopper's segment in its order; the last one is for the unknown."""
        rows = self._bundle.cohorts.lists[shopper.cohort]
        rows = rows[rows >= 0]
        return self._listed(
            slot, rows[kept.holds(self._bundle, rows)], slot.limit, segment_reason(self._bundle, shopper)
        )

    def from_fallback(self, slot: Slot, kept: Kept, missing: int) -> list[PageItem]:
        """Up to `missing` items: of those that keep the promise, else of the precomputed lists and the most popular.

        Rules loosen last, and a promise never does: where it is kept by few items the list is short.
        """
        if missing <= 0:
            return []
        if kept.promise is not None and kept.rows is not None:
            chosen = self._listed(slot, kept.rows, missing, Reason(FALLBACK))
            reasons = promise_reasons(self._evidence, kept.promise.needs, [item.row for item in chosen])
            return [replace(item, reasons=(why,)) for item, why in zip(chosen, reasons, strict=True)]
        chosen = []
        for make_rows in (partial(self._precomputed, slot), self._everyone, self._popular):
            if len(chosen) < missing:
                chosen += self._listed(slot, make_rows(), missing - len(chosen), Reason(FALLBACK))
        if len(chosen) < missing:
            chosen += self._listed(slot, self._popular(), missing - len(chosen), Reason(FALLBACK), is_loose=True)
        return chosen

    def _precomputed(self, slot: Slot) -> Rows:
        known = self._bundle.rows_of(self._bundle.fallback.get(slot.placement.placement_id, ()))
        return known[known >= 0]

    def _everyone(self) -> Rows:
        rows: Rows = self._bundle.cohorts.lists[-1]
        return rows[rows >= 0]

    def _popular(self) -> Rows:
        return self._bundle.popular[:LAST_RESORT]

    def _listed(self, slot: Slot, rows: Rows, limit: int, reason: Reason, *, is_loose: bool = False) -> list[PageItem]:
        """The first `limit` eligible items of a given list, scored by their place in it."""
        allowed = self._rules.sellable(rows) if is_loose else self._rules.view(rows).allowed(slot.placement)
        groups = self._bundle.items.content_row
        chosen: list[PageItem] = []
        for place in np.flatnonzero(allowed).tolist():
            row = int(rows[place])
            group = int(groups[row])
            if row not in self._shown.rows and (is_loose or group not in self._shown.groups):
                self._shown.add(row, group)
                chosen.append(PageItem(row, 1.0 - place / len(rows), (reason,)))
                if len(chosen) == limit:
                    break
        return chosen


@dataclass(frozen=True, slots=True)
class Filling:
    """The materials of one page's lists. `ranked` is None where there is no ranking."""

    precomputed: PrecomputedLists
    ranked: RankedLists | None
    shopper: Shopper

    def strongest_source(self, n: int) -> float:
        """Return the strongest source of the n-th slot; 0 without a ranking."""
        return 0.0 if self.ranked is None else self.ranked.strongest_source(n)


def _incumbent(filling: Filling, n: int, slot: Slot, kept: Kept) -> list[PageItem]:
    return filling.precomputed.from_segment(slot, kept, filling.shopper)


def _hybrid(filling: Filling, n: int, slot: Slot, kept: Kept) -> list[PageItem]:
    return [] if filling.ranked is None else filling.ranked.by_score(n, kept)


def _hybrid_margin(filling: Filling, n: int, slot: Slot, kept: Kept) -> list[PageItem]:
    return [] if filling.ranked is None else filling.ranked.by_margin(n, kept)


PolicyList = Callable[[Filling, int, Slot, Kept], list[PageItem]]
# How each variant fills a list: a policy of contracts.placements.POLICIES, or the canary's bundle under the hybrid.
POLICY_LISTS: Final[Mapping[str, PolicyList]] = {
    "cohorts": _incumbent,
    "hybrid": _hybrid,
    "hybrid_margin": _hybrid_margin,
    CANARY: _hybrid,
}


def source_weights(placements: Sequence[Placement]) -> Floats:
    """(P, 9) what each placement gives to each source."""
    return np.array(
        [[placement.sources.get(source, 0.0) for source in SOURCES] for placement in placements], np.float32
    )


def sigmoid(log_odds: Floats) -> Floats:
    """1 / (1 + exp(-x)), elementwise."""
    return (1.0 / (1.0 + np.exp(-log_odds))).astype(np.float32)
