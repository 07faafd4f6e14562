"""Requests as API Gateway hands them to the function, and what the tables hold of those who make them.

Each kind of visitor meets each type of page equally often. A visit is posted before, as a storefront posts it, and
is read back from the table of sessions; the product page's own view travels with the request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from recommender.contracts.api import parse_events, parse_recommendations
from recommender.contracts.placements import PAGE_TYPES
from recommender.contracts.requests import EventBatch, RecommendCommand
from recommender.contracts.routes import KEY_HEADER
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.visit import Shopper
from recommender.ports import SessionStore, ShopperStore
from recommender.use_cases.collect_events import collect_events

from benchmarks.serving.function import KEY, SECRET
from benchmarks.serving.visitors import EVENTS, HISTORY, KINDS, PLACEMENTS, drawn_shopper, events_of
from local.aws.payload import to_event
from local.web import Request

MIX: Final = tuple((kind, page) for page in PAGE_TYPES for kind in KINDS)
PATH: Final = "/v1/recommendations"
HEADERS: Final = {
    "accept": "*/*",
    "content-type": "application/json",
    "host": "shop.example",
    "origin": "https://shop.example",
    "user-agent": "Mozilla/5.0",
    KEY_HEADER: KEY,
}
TERM_WORDS: Final = 2  # of a title, in a search term
IN_CART: Final = 3


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One request as the function gets it and as the use case does, and what was known of its visitor before."""

    kind: str
    page: str
    event: dict[str, Any]
    command: RecommendCommand
    visit: EventBatch | None
    shopper: Shopper | None

    @property
    def level(self) -> str:
        """How personal the answer says it is, where all that is known of the visitor was read."""
        if self.shopper is not None:
            return "user"
        return "session" if self.visit is not None or self.command.request.events else "prior"

    def store(self, sessions: SessionStore, shoppers: ShopperStore, *, now: datetime) -> None:
        """Put what is known of the visitor where the request is going to be answered from."""
        if self.visit is not None:
            collect_events(self.visit, now=now, sessions=sessions, secret=SECRET)
        if self.shopper is not None:
            shoppers.save([self.shopper])


class Popular:
    """Items drawn by what is bought."""

    def __init__(self, bundle: Bundle, rng: np.random.Generator) -> None:
        """Of this bundle."""
        shares = np.exp(bundle.prior.log_share.astype(np.float64))
        self._bundle = bundle
        self._rng = rng
        self._up_to = np.cumsum(shares / shares.sum())

    def rows(self, count: int) -> list[int]:
        """Up to `count` distinct rows."""
        places = np.searchsorted(self._up_to, self._rng.random(count))
        return list(dict.fromkeys(np.minimum(places, self._bundle.count_items - 1).tolist()))

    def ids(self, count: int) -> list[str]:
        """Up to `count` distinct items."""
        return [self._bundle.id_of(row) for row in self.rows(count)]


def page_requests(bundle: Bundle, rounds: int, rng: np.random.Generator, *, now: datetime) -> Iterator[PageRequest]:
    """Each of the MIX in turn, `rounds` times, no two alike."""
    popular = Popular(bundle, rng)
    for n in range(rounds * len(MIX)):
        kind, page = MIX[n % len(MIX)]
        yield _page_request(bundle, popular, f"{rng.integers(2**40):x}", kind, page, rng, now=now)


def _page_request(
    bundle: Bundle, popular: Popular, name: str, kind: str, page: str, rng: np.random.Generator, *, now: datetime
) -> PageRequest:
    body = {
        "visitor_id": f"v{name}",
        "session_id": f"s{name}",
        "placements": PLACEMENTS,
        **_surroundings(bundle, popular, page, rng, now),
    }
    visit = None
    if "visit" in kind:
        seen = popular.ids(int(rng.integers(*EVENTS)))
        posted = {"visitor_id": f"v{name}", "session_id": f"s{name}", "events": events_of(seen, rng, until=now)}
        visit = parse_events(posted, now=now)
    bought = popular.ids(int(rng.integers(*HISTORY))) if "known" in kind else []
    request = Request("POST", PATH, "", HEADERS, json.dumps(body).encode())
    return PageRequest(
        kind=kind,
        page=page,
        event=to_event(request, route_key=f"POST {PATH}", path_parameters={}, now=now),
        command=parse_recommendations(body, now=now),
        visit=visit,
        shopper=drawn_shopper(f"v{name}", bought, rng, now=now) if bought else None,
    )


def _surroundings(
    bundle: Bundle, popular: Popular, page: str, rng: np.random.Generator, now: datetime
) -> dict[str, Any]:
    """The page and what else the storefront says of it."""
    (row,) = popular.rows(1)
    facts = bundle.catalogue.describe(row)
    if page == "product":
        view = {**events_of([facts["item_id"]], rng, until=now)[0], "event_id": "own", "event_name": "view_item"}
        return {"page": {"type": page, "item_id": facts["item_id"], "category": facts["category"]}, "events": [view]}
    if page == "category":
        return {"page": {"type": page, "category": facts["category"]}}
    if page == "search":
        return {"page": {"type": page, "search_term": " ".join(facts["title"].split()[:TERM_WORDS])}}
    if page == "cart":
        return {"page": {"type": page}, "context": {"cart_item_ids": popular.ids(IN_CART)}}
    return {"page": {"type": page}}
