"""The recorded past of the simulated shop, and the product's own `recommend` with one policy in every placement.

Shoppers visit about a category, open attractive items, and some visits end in an order; a share of the visits is by
people who never buy. The recommenders learn from these exports alone, recorded without any recommendation. A policy is
forced as a promotion does it, by the snapshot's defaults; the state is read through the port that serves DynamoDB in
production. Only the ranking is remembered between equal calls, which saves time and changes nothing else. `popularity`
is the lowest step of the product's ladder: no models, precomputed lists. Letters: I items, M people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl
from recommender.adapters.memory.sources import MemoryBundles, MemoryOverrides, MemorySnapshots
from recommender.contracts import placements
from recommender.contracts.events import Event, EventItem
from recommender.contracts.exports import EXPORTS
from recommender.contracts.placements import DEFAULT
from recommender.contracts.requests import Options, Page, PlacementRequest, RecommendationRequest, RecommendCommand
from recommender.domain.experiments.running.config import Snapshot
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.ranking import Ranked, rank
from recommender.domain.serving.visit import Session, Shopper
from recommender.use_cases.recommend import recommend

from benchmarks.uplift.shop import People, Shop, Trained, softmax, wants
from benchmarks.uplift.visits import Situation
from training_jobs.exports import POLARS_TYPES, Exports

UNTIL: Final = datetime(2026, 6, 1)  # any day: nothing depends on it
LOOKS: Final = 2.0  # other items looked at in a visit, on average
CART_SHARE: Final = 0.2  # of visits without an order: something is put in the cart and left there
POPULARITY: Final = "popularity"
POLICIES: Final = ("cohorts", POPULARITY, *(policy for policy in placements.POLICIES if policy != placements.INCUMBENT))
NOW: Final = UNTIL.replace(tzinfo=UTC) + timedelta(hours=12)
BY_PAGE: Final[Mapping[str, tuple[PlacementRequest, ...]]] = {
    page: tuple(PlacementRequest(one.placement_id) for one in DEFAULT if one.page == page)
    for page in ("home", "category", "product", "cart", "order")
}
SECRET: Final = b"simulated"


@dataclass(slots=True)
class _Book:
    """Rows as they are recorded."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def visit(self, session: str, shopper: str, at: datetime, steps: list[tuple[str, str]]) -> None:
        """Events (name, item) of a visit, half a minute apart."""
        for number, (name, item_id) in enumerate(steps):
            self.events.append(
                {
                    "session_id": session,
                    "shopper_id": shopper,
                    "event_id": f"{session}-{number}",
                    "event_name": name,
                    "event_time": at + timedelta(seconds=30 * number),
                    "item_id": item_id,
                    "search_term": None,
                    "derived": False,
                }
            )


def record(shop: Shop, known: People, strangers: People, seed: int) -> Exports:
    """The exports of the shop as of UNTIL."""
    rng = np.random.default_rng([seed, 2])
    book = _Book()
    visits = 0
    for m in range(len(known.attributes)):
        visits += _past_of(shop, known, m, book, rng)
    nature = shop.nature
    for n in range(round(visits * nature.no_history_share / (1.0 - nature.no_history_share))):
        m = int(rng.integers(len(strangers.attributes)))
        at = UNTIL - timedelta(days=float(rng.uniform(0.1, nature.days)))
        looks = _looks(shop, strangers, m, np.zeros(nature.items, np.bool_), rng)
        book.visit(f"n{n}", f"stranger{n}", at, [("view_item", shop.item_ids[row]) for row in looks])
    return _exports(shop, known, book)


def _past_of(shop: Shop, known: People, m: int, book: _Book, rng: np.random.Generator) -> int:
    """All visits of one shopper in order of time; returns their number."""
    nature = shop.nature
    pace = nature.days_between_orders * float(np.exp(rng.normal(0.0, 0.5)))
    orders = 1 + rng.poisson(nature.days / pace)
    others = rng.poisson(orders * nature.visits_per_order)
    is_order = rng.permutation(np.arange(orders + others) < orders)
    owned = np.zeros(nature.items, np.bool_)
    shopper = shopper_id(m)
    for number, day in enumerate(np.sort(rng.uniform(0.0, nature.days - 0.1, len(is_order)))):
        at = UNTIL - timedelta(days=float(nature.days - day))
        looks = _looks(shop, known, m, owned, rng)
        session = f"{shopper}-{number}"
        if not is_order[number]:
            steps = [("view_item", shop.item_ids[row]) for row in looks]
            if rng.random() < CART_SHARE:
                steps.append(("add_to_cart", shop.item_ids[looks[-1]]))
            book.visit(session, shopper, at, steps)
            continue
        bought = _basket(shop, known, m, owned, looks, rng)
        steps = [("view_item", shop.item_ids[row]) for row in (*looks, *bought[1:])]
        book.visit(session, shopper, at, [*steps, *(("add_to_cart", shop.item_ids[row]) for row in bought)])
        for row in bought:
            book.lines.append(
                {
                    "shopper_id": shopper,
                    "item_id": shop.item_ids[row],
                    "order_id": f"o-{session}",
                    "purchased_at": at + timedelta(minutes=20),
                    "quantity": 1,
                    "price_cents": int(shop.price_cents[row]),
                }
            )
        owned[bought] = True
    return len(is_order)


def _looks(shop: Shop, crowd: People, m: int, owned: np.ndarray, rng: np.random.Generator) -> list[int]:
    """The rows of items looked at in a visit, one at least."""
    intent = int(rng.choice(shop.count_categories, p=crowd.interest[m]))
    chances = softmax(wants(shop, crowd.attraction[m], intent=intent, owned=owned))
    return [int(row) for row in rng.choice(shop.nature.items, size=1 + rng.poisson(LOOKS), p=chances)]


def _basket(
    shop: Shop, crowd: People, m: int, owned: np.ndarray, looks: list[int], rng: np.random.Generator
) -> list[int]:
    """The items bought in the visit: the last one opened, then more, each drawn given the cart."""
    basket = [looks[-1]]
    intent = int(shop.category[looks[-1]])
    for _ in range(rng.poisson(shop.nature.lines_per_order - 1.0)):
        drawn = wants(shop, crowd.attraction[m], intent=intent, owned=owned, cart=tuple(basket))
        drawn[basket] = -np.inf
        basket.append(int(rng.choice(shop.nature.items, p=softmax(drawn))))
    return basket


def shopper_id(m: int) -> str:
    """The id of the m-th known shopper."""
    return f"s{m:06d}"


def _exports(shop: Shop, known: People, book: _Book) -> Exports:
    items = pl.DataFrame(
        {
            "item_id": shop.item_ids,
            "title": shop.titles,
            "description": ["" for _ in shop.item_ids],
            "category": shop.categories,
            "brand": shop.brands,
            "price_cents": shop.price_cents,
            "margin_share": shop.margin_share,
            "margin_derived": [False for _ in shop.item_ids],
            "availability": ["in_stock" for _ in shop.item_ids],
        }
    )
    shoppers = {
        "shopper_id": [shopper_id(m) for m in range(len(known.attributes))],
        "attributes": [json.dumps(one) for one in known.attributes],
    }
    frames = {
        "purchases": pl.DataFrame(book.lines).sort("purchased_at", maintain_order=True),
        "items": items,
        "shoppers": pl.DataFrame(shoppers),
        "session_events": pl.DataFrame(book.events, infer_schema_length=None).sort("event_time", maintain_order=True),
    }
    typed = {
        name: frame.select(pl.col(column).cast(POLARS_TYPES[kind]) for column, kind in EXPORTS[name])
        for name, frame in frames.items()
    }
    start = UNTIL - timedelta(days=shop.nature.days)
    return Exports(**typed, data_from=start, data_until=UNTIL, data_hash="simulated")


class Remembered:
    """The product's ranking, computed once for each distinct request."""

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
        """Free the memory: no visit shares a request with another."""
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
