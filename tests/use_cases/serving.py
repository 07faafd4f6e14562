"""A recommender on stores in memory, to be asked as the API is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from recommender.adapters.memory.sources import (
    MemoryBundles,
    MemoryOverrides,
    MemorySessions,
    MemoryShoppers,
    MemorySnapshots,
    MemoryState,
)
from recommender.contracts.answers import PageAnswer
from recommender.contracts.api import parse_recommendations
from recommender.contracts.placements import DEFAULT
from recommender.domain.experiments.running.config import NO_EXPERIMENTS
from recommender.domain.serving.ranking import rank
from recommender.domain.serving.visit import PurchaseHistory, Shopper
from recommender.use_cases.recommend import Ranking, recommend

from tests.fakes.sources import MemoryCanaries, MemoryStandby
from tests.tiny_bundle import DAYS, tiny_bundle

NOW = datetime.fromtimestamp(DAYS * 86400 + 43_200, UTC)
SECRET = b"a secret of the tests"
ALL_PLACEMENTS = [placement.placement_id for placement in DEFAULT]
HOUSEHOLD = Shopper(
    "h1",
    PurchaseHistory(
        ("item-02-03", "item-02-04", "item-07-01"), (4, 2, 1), (DAYS - 3, DAYS - 20, DAYS - 9), (DAYS - 90,) * 3, 5
    ),
    cohort=3,
)


@dataclass
class Serving:
    """The ports of `recommend`, to be changed before a call."""

    sessions: MemorySessions = field(default_factory=MemorySessions)
    shoppers: MemoryShoppers = field(default_factory=lambda: MemoryShoppers([HOUSEHOLD]))
    bundles: MemoryBundles = field(default_factory=lambda: MemoryBundles(tiny_bundle()))
    canaries: MemoryCanaries = field(default_factory=MemoryCanaries)
    snapshots: MemorySnapshots = field(default_factory=lambda: MemorySnapshots(NO_EXPERIMENTS))
    standby: MemoryStandby = field(default_factory=MemoryStandby)
    overrides: MemoryOverrides = field(default_factory=MemoryOverrides)
    ranking: Ranking | None = rank

    def __post_init__(self) -> None:
        self.state = MemoryState(self.sessions, self.shoppers)
        self._ids = count(1)

    def ports(self) -> dict[str, Any]:
        """The keyword arguments of `recommend` but for the time."""
        return {
            "state": self.state,
            "bundles": self.bundles,
            "canaries": self.canaries,
            "snapshots": self.snapshots,
            "standby": self.standby,
            "overrides": self.overrides,
            "secret": SECRET,
            "new_id": lambda: f"r{next(self._ids)}",
            "ranking": self.ranking,
            "clock": lambda: 0.0,
        }

    def ask(self, *placements: str, **changes: Any) -> PageAnswer:
        """The answer to a visitor on the home page, or to what `changes` make of the body."""
        return recommend(parse_recommendations(body(*placements, **changes), now=NOW), now=NOW, **self.ports())


def body(*placements: str, **changes: Any) -> dict[str, Any]:
    """A request body for these placements, all twelve where none is named."""
    return {
        "visitor_id": "v1",
        "session_id": "s1",
        "page": {"type": "home"},
        "placements": [{"placement": name} for name in placements or ALL_PLACEMENTS],
        **changes,
    }


def view(item_id: str, event_id: str = "e1", name: str = "view_item") -> dict[str, Any]:
    """An inline event."""
    return {"event_id": event_id, "event_name": name, "event_time": NOW.isoformat(), "items": [{"item_id": item_id}]}


def shown(answer: PageAnswer) -> list[str]:
    """Every item of the page, in order."""
    return [item.item_id for placement in answer.placements for item in placement.items]
