"""Numbers of the metrics as the report reads them: a value, an interval where there is one, and their text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

HYBRID: Final = "hybrid"
CHAMPION: Final = "champion"
STRATA: Final[Mapping[str, tuple[str, str]]] = {
    "all": ("All purchases", "every item a shopper bought in the test weeks"),
    "new": ("New to the shopper", "only items the shopper had never bought before"),
    "in_basket": ("Rest of the basket", "three items of a basket are shown, the rest is asked for"),
    "cold_items": ("New arrivals", "items nobody had bought before the test weeks, asked for among all such items"),
    "cold_items_full": ("New arrivals in the full catalogue", "the same items, asked for among all items"),
    "cold_shoppers": ("Cold shoppers", "shoppers without purchases before the test weeks"),
}
METHODS: Final[Mapping[str, str]] = {
    HYBRID: "Hybrid (this bundle)",
    CHAMPION: "Champion (bundle in force)",
    "hybrid_no_session": "Hybrid without the visit",
    "two_tower": "Two-tower",
    "content": "Content (BERT)",
    "session_knn": "Session-kNN",
    "prior": "Prior in context",
    "popularity_in_category": "Popularity of the category",
    "session": "Session models",
    "cohorts": "12 cohorts (incumbent)",
    "own_frequency": "Own purchase frequency",
    "popular": "Popular",
    "popular_recent": "Popular, recent",
    "item_knn": "ItemKNN",
    "ials": "iALS",
}
COUNTS: Final = ("shoppers", "users", "baskets", "cases", "events")  # how much was measured, the same for every method
OURS: Final = frozenset({HYBRID, "hybrid_no_session", "two_tower", "content", "session"})


@dataclass(frozen=True, slots=True)
class Number:
    """A figure with its interval; without one, low and high equal the value."""

    value: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        """True where the interval has a width."""
        return self.high > self.low

    @property
    def text(self) -> str:
        """Whole numbers whole, shares with four digits."""
        return f"{self.value:,.0f}" if self.value == int(self.value) and abs(self.value) > 1 else f"{self.value:.4f}"

    @property
    def interval(self) -> str:
        """`.391 to .404`, or nothing."""
        return f"{self.low:.3f} to {self.high:.3f}" if self.has_interval else ""


def number(entry: Any) -> Number | None:
    """A number of the metrics, plain or with an interval; None for what is no finite number."""
    value = entry.get("value") if isinstance(entry, Mapping) else entry
    interval = entry if isinstance(entry, Mapping) else {}
    parts = [value, interval.get("low", value), interval.get("high", value)]
    known = [
        float(part)
        for part in parts
        if isinstance(part, int | float) and not isinstance(part, bool) and math.isfinite(part)
    ]
    return Number(*known) if len(known) == len(parts) else None


def title(names: Mapping[str, str], name: str) -> str:
    """A readable name; unknown ones are shown as they are."""
    return names.get(name, name.replace("_", " "))


def strata_of(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The strata in any method, known ones first and in order."""
    found = {stratum: None for strata in methods.values() for stratum in strata}
    return sorted(found, key=lambda stratum: list(STRATA).index(stratum) if stratum in STRATA else len(STRATA))


def metrics_of(methods: Mapping[str, Mapping[str, Any]], stratum: str) -> list[str]:
    """The metrics in any method of a stratum, in order of first use; counts are none."""
    found = {
        metric: None
        for strata in methods.values()
        for metric, entry in strata.get(stratum, {}).items()
        if number(entry) is not None and metric not in COUNTS
    }
    return list(found)


def counts_of(methods: Mapping[str, Mapping[str, Any]], stratum: str) -> str:
    """What the stratum was measured on, such as `2,400 shoppers`."""
    figures: Mapping[str, Any] = next((strata[stratum] for strata in methods.values() if stratum in strata), {})
    known = {name: number(figures.get(name)) for name in COUNTS}
    return ", ".join(f"{count.value:,.0f} {name}" for name, count in known.items() if count)
