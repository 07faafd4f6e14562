"""The product's own `recommend`, in process, with one policy forced into every placement.

The policy is forced as a promotion does it: the snapshot's defaults. The state is read through the port that serves
DynamoDB in production. Only the ranking is remembered between calls that ask the very same thing, which changes
nothing but the time. `popularity` is the lowest step of the product's ladder: no models, precomputed lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from recommender.adapters.memory.overrides import MemoryOverrides
from recommender.adapters.memory.sources import MemoryBundles, MemorySnapshots
from recommender.contracts.events import Event, EventItem
from recommender.contracts.placements import DEFAULT
from recommender.contracts.requests import (
    Options,
    Page,
    PlacementRequest,
    RecommendationRequest,
    RecommendCommand,
)
from recommender.domain.bundle import Bundle
from recommender.domain.context import PageContext
from recommender.domain.experiments.config import Snapshot
from recommender.domain.ranking import Ranked, rank
from recommender.domain.session import Session
from recommender.domain.shopper import Shopper
from recommender.use_cases.recommend import recommend

from benchmarks.uplift_history import UNTIL
from benchmarks.uplift_models import Trained
from benchmarks.uplift_shop import Shop
from benchmarks.uplift_visits import Situation

POPULARITY: Final = "popularity"
POLICIES: Final = ("cohorts", POPULARITY, "hybrid", "hybrid_margin")
NOW: Final = UNTIL.replace(tzinfo=UTC) + timedelta(hours=12)
BY_PAGE: Final[Mapping[str, tuple[PlacementRequest, ...]]] = {
    page: tuple(PlacementRequest(one.placement_id) for one in DEFAULT if one.page == page)
    for page in ("home", "category", "product", "cart", "order")
}
SECRET: Final = b"simulated"


class Remembered:
    """The product's ranking, asked once for each distinct question."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._found: dict[Any, Ranked] = {}

    def __call__(self, bundle: Bundle, shopper: Shopper, session: Session, context: PageContext) -> Ranked:
        """`rank`, from memory where shopper, events and page are the same."""
        events = tuple((event.event_name, event.item_ids, event.event_time) for event in session.events)
        key = (shopper.shopper_id, events, context)
        if key not in self._found:
            self._found[key] = rank(bundle, shopper, session, context)
        return self._found[key]

    def forget(self) -> None:
        """Make room: nothing of one visit is asked again in another."""
        self._found.clear()


class Server:
    """One policy over the trained bundle; calling it fills a page."""

    def __init__(self, shop: Shop, trained: Trained, policy: str, ranking: Remembered) -> None:
        """`ranking` may be shared by policies."""
        variant = "hybrid" if policy == POPULARITY else policy
        self._shop, self._trained = shop, trained
        self._rows = {item_id: row for row, item_id in enumerate(shop.item_ids)}
        self._ports: dict[str, Any] = {
            "bundles": MemoryBundles(trained.bundle),
            "snapshots": MemorySnapshots(
                Snapshot(0, NOW.isoformat(), (), {}, defaults={one.placement_id: variant for one in DEFAULT})
            ),
            "overrides": MemoryOverrides(),
            "secret": SECRET,
            "new_id": lambda: "simulated",
            "ranking": None if policy == POPULARITY else ranking,
        }

    def __call__(self, situation: Situation) -> Sequence[tuple[str, Sequence[int]]]:
        """(placement, rows) of the page, in the registry's order."""
        request = RecommendationRequest(
            visitor_id=f"v{situation.visit}",
            session_id=f"t{situation.visit}",
            page=Page(
                situation.page,
                item_id=None if situation.row is None else self._shop.item_ids[situation.row],
                category=None if situation.category is None else self._category(situation.category),
            ),
            placements=BY_PAGE[situation.page],
            user_id=situation.shopper_id,
            options=Options(explain="none"),
        )
        now = NOW + timedelta(seconds=30 * len(situation.steps))
        answer = recommend(RecommendCommand(request), now=now, state=self._state(situation), **self._ports)
        return [(one.placement, [self._rows[item.item_id] for item in one.items]) for one in answer.placements]

    def _category(self, category: int) -> str:
        """The path of a category page: department and shelf."""
        row = int((self._shop.category == category).argmax())
        return " > ".join(self._shop.categories[row].split(" > ")[:2])

    def _state(self, situation: Situation) -> _State:
        events = tuple(
            Event(
                event_id=f"t{situation.visit}-{number}",
                event_name=name,
                event_time=NOW + timedelta(seconds=30 * number),
                visitor_id=f"v{situation.visit}",
                session_id=f"t{situation.visit}",
                user_id=situation.shopper_id,
                items=(EventItem(self._shop.item_ids[row]),),
            )
            for number, (name, row) in enumerate(situation.steps)
        )
        known = None if situation.shopper_id is None else self._trained.shoppers.get(situation.shopper_id)
        return _State(Session(f"t{situation.visit}", events), known)


class _State:
    """A StateReader that knows one visit."""

    def __init__(self, session: Session, shopper: Shopper | None) -> None:
        self._found = session, shopper

    def read(self, *, session_id: str, shopper_ids: Sequence[str], now: datetime) -> tuple[Session, Shopper | None]:
        """The visit so far and the shopper, if anybody knows them."""
        del session_id, shopper_ids, now
        return self._found
