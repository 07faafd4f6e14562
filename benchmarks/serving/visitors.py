"""Simulated visitors of the pages: what they look at, drawn by what is popular, and what they bought before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from recommender.contracts.api import parse_recommendations
from recommender.contracts.placements import DEFAULT
from recommender.contracts.requests import RecommendCommand
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.visit import PurchaseHistory, Shopper
from recommender.domain.serving.visitor import days_since_epoch

NOW: Final = datetime(2026, 11, 16, 18, tzinfo=UTC)
KINDS: Final = ("stranger", "visit", "known", "known_visit")
HISTORY: Final = (20, 500)  # distinct items that a known shopper has bought
EVENTS: Final = (1, 12)  # of a visit
NAMES: Final = ("view_item", "view_item", "view_item", "select_item", "add_to_cart")
PLACEMENTS: Final = [{"placement": placement.placement_id} for placement in DEFAULT]


@dataclass(frozen=True, slots=True)
class PageView:
    """One request, and the shopper who makes it."""

    command: RecommendCommand
    shopper: Shopper | None


def page_views(bundle: Bundle, count: int, rng: np.random.Generator) -> list[PageView]:
    """Page views of each kind of visitor in turn, on home, product, category and cart pages."""
    return [_page_view(bundle, n, KINDS[n % len(KINDS)], rng) for n in range(count)]


def drawn_shopper(shopper_id: str, item_ids: Sequence[str], rng: np.random.Generator, *, now: datetime) -> Shopper:
    """A shopper who has bought these items in the last year."""
    count, today = len(item_ids), days_since_epoch(now)
    first_on = today - rng.uniform(1, 360, count)
    last_on = rng.uniform(first_on, today)
    orders = rng.integers(1, 10, count)
    history = PurchaseHistory(
        tuple(item_ids), tuple(orders.tolist()), tuple(last_on.tolist()), tuple(first_on.tolist()), int(orders.max())
    )
    return Shopper(shopper_id, history, cohort=int(rng.integers(12)))


def events_of(item_ids: Sequence[str], rng: np.random.Generator, *, until: datetime) -> list[dict[str, Any]]:
    """One event of a visit on each item, a minute apart, as a storefront sends them."""
    return [
        {
            "event_id": f"e{place}",
            "event_name": str(rng.choice(NAMES)),
            "event_time": (until - timedelta(minutes=len(item_ids) - place)).isoformat(),
            "items": [{"item_id": item_id}],
        }
        for place, item_id in enumerate(item_ids)
    ]


def _page_view(bundle: Bundle, n: int, kind: str, rng: np.random.Generator) -> PageView:
    share = np.exp(bundle.prior.log_share.astype(np.float64))

    def items(count: int) -> list[str]:
        wanted = min(count, bundle.count_items)
        return [bundle.id_of(int(row)) for row in rng.choice(bundle.count_items, wanted, False, share / share.sum())]

    pages: tuple[dict[str, Any], ...] = (
        {"page": {"type": "home"}},
        {"page": {"type": "product", "item_id": items(1)[0]}},
        {"page": {"type": "category", "category": bytes(rng.choice(bundle.items.categories)).decode()}},
        {"page": {"type": "cart"}, "context": {"cart_item_ids": items(3)}},
    )
    seen = items(int(rng.integers(*EVENTS))) if "visit" in kind else []
    events = events_of(seen, rng, until=NOW)
    body = {"visitor_id": f"v{n}", "session_id": f"s{n}", "placements": PLACEMENTS, "events": events}
    command = parse_recommendations({**body, **pages[int(rng.integers(len(pages)))]}, now=NOW)
    bought = items(int(rng.integers(*HISTORY))) if "known" in kind else []
    return PageView(command, drawn_shopper(f"v{n}", bought, rng, now=NOW) if bought else None)
