"""Four days of a small shop with everything that goes wrong in one: late and repeated events, corrections, refunds.

A run looks at the day before as well, so what must be found without it comes two days later.

Every delivery is stamped with a moment; `deliver_day` brings those of one day, `deliver_late_stamp` one that is
stamped with the fourth of January and comes after the fifth. The comments say what each row is there for.
"""

from __future__ import annotations

from typing import Any

from recommender.contracts.events import EventItem

from tests.warehouse.shop import Shop, at, deliver, event, order_line

DAYS = (2, 3, 4, 5)
LATE_STAMP = 4
EVES_ORDERS = 20
TEA, JAM = EventItem("tea"), EventItem("jam")
TWO_TEAS, THREE_TEAS, TWO_JAMS = EventItem("tea", 2), EventItem("tea", 3), EventItem("jam", 2)
PHONE = {"visitor_id": "phone", "session_id": "phone", "user_id": "ben"}
TABLET = {"visitor_id": "tablet", "session_id": "tablet", "user_id": "dora"}
KIOSK = {"visitor_id": "kiosk", "session_id": "kiosk", "user_id": "finn"}
CLAIMS = {
    "recommendation_id": "r1",
    "placement": "home_hero",
    "experiment": "exp",
    "config_version": 7,
    "epoch": 3,
    "variant": "hybrid",
    "propensity": 0.25,
    "is_holdout": False,
    "segment": "user",
}


def item(item_id: str, category: str, price_cents: int, **more: Any) -> dict[str, Any]:
    return {"item_id": item_id, "title": item_id, "category": category, "price_cents": price_cents, **more}


def review(review_id: str, shopper_id: str, item_id: str, rating: int, text: str, reviewed_at: str) -> dict[str, Any]:
    names = {"review_id": review_id, "shopper_id": shopper_id, "item_id": item_id}
    return {**names, "rating": rating, "text": text, "reviewed_at": at(reviewed_at)}


def deliver_day(shop: Shop, day: int) -> None:
    """Load what was loaded on this day of January 2026."""
    {2: _second, 3: _third, 4: _fourth, 5: _fifth}[day](shop)


def deliver_late_stamp(shop: Shop) -> None:
    """Found after the newest day was run: the mug between two other versions, the jam as it came five hours later."""
    found = [item("mug", "HOME > MUGS", 900, availability="in_stock"), item("jam", "PANTRY > JAM", 300)]
    deliver(shop.warehouse, "items", found, loaded_at="2026-01-04T20:00:00")


def _second(shop: Shop) -> None:
    catalogue = [item("tea", "PANTRY > TEA", 200), item("jam", "PANTRY > JAM", 300), item("mug", "HOME > MUGS", 900)]
    deliver(shop.warehouse, "items", catalogue, loaded_at="2026-01-02T01:00:00")
    shoppers = [{"shopper_id": "anna", "attributes": '{"consent": "granted"}'}, {"shopper_id": "ben"}]
    deliver(shop.warehouse, "shoppers", shoppers, loaded_at="2026-01-02T01:00:00")
    shop.land(
        event("s1", "search", "2026-01-02T10:00:00", search_term="green tea"),
        event("v1", "view_item", "2026-01-02T10:01:00", EventItem("tea", index=2)),
        event("s2", "search", "2026-01-02T10:04:00", search_term="cup"),
        event("c1", "add_to_cart", "2026-01-02T10:05:00", TEA),
        # 40 minutes of silence, until a late event says otherwise
        event("v2", "view_item", "2026-01-02T10:45:00", JAM),
        event("b1", "purchase", "2026-01-02T10:50:00", TWO_TEAS, transaction_id="o1"),
        loaded_at="2026-01-02T23:00:00",
    )
    shown = (EventItem("tea", index=0), EventItem("jam", index=1))
    shop.land(
        event("l1", "view_item_list", "2026-01-02T10:02:00", *shown, visible=True),
        loaded_at="2026-01-02T23:10:00",
        claims=CLAIMS,
    )


def _third(shop: Shop) -> None:
    changed = [
        item("tea", "PANTRY > TEA", 200),  # nothing new
        item("jam", "PANTRY > JAM", 350),
        item("mug", "HOME > MUGS", 900, availability="out_of_stock"),
    ]
    deliver(shop.warehouse, "items", changed, loaded_at="2026-01-03T01:00:00")
    orders = [
        order_line("o1", "tea", "2026-01-02T10:50:00", quantity=2, price_cents=380),
        order_line("o2", "jam", "2025-12-31T12:00:00", price_cents=300, shopper_id="ben"),
        order_line("o3", "mug", "2026-01-03T00:30:00", price_cents=900, shopper_id="cleo"),
        order_line("o3", "jam", "2026-01-03T00:30:00", price_cents=350, shopper_id="cleo"),
    ]
    deliver(shop.warehouse, "purchases", orders, loaded_at="2026-01-03T02:00:00")
    # so many orders of eve's that one of an unknown item is still within the tolerance
    of_eve = [
        order_line(f"e{n}", "mug", "2026-01-03T18:00:00", price_cents=900, shopper_id="eve") for n in range(EVES_ORDERS)
    ]
    deliver(shop.warehouse, "purchases", of_eve, loaded_at="2026-01-03T19:00:00")
    reviews = [
        review("r1", "anna", "tea", 5, "lovely", "2026-01-03T12:00:00"),
        review("r2", "ben", "jam", 4, "sweet", "2026-01-03T12:00:00"),
        review("r3", "ben", "jam", 9, "no such rating", "2026-01-03T12:00:00"),
    ]
    deliver(shop.warehouse, "reviews", reviews, loaded_at="2026-01-03T13:00:00")
    shop.land(
        event("p1", "view_item", "2026-01-02T11:00:00", JAM, **PHONE),
        event("p2", "view_item", "2026-01-02T11:30:00", JAM, **PHONE),  # half an hour is still the same session
        event("p3", "view_item", "2026-01-02T12:00:01", JAM, **PHONE),
        # two orders that are never delivered otherwise; the pot is not in the catalogue yet
        event("b2", "purchase", "2026-01-03T15:00:00", TWO_JAMS, THREE_TEAS, transaction_id="o4", **TABLET),
        event("b3", "purchase", "2026-01-03T15:10:00", EventItem("pot"), transaction_id="o5", **KIOSK),
        loaded_at="2026-01-03T16:00:00",
    )
    chosen = event("k1", "select_item", "2026-01-02T10:44:00", EventItem("jam", index=1))
    shop.land(chosen, loaded_at="2026-01-03T16:10:00", claims=CLAIMS)


def _fourth(shop: Shop) -> None:
    corrected = order_line("o1", "tea", "2026-01-02T10:50:00", quantity=3, price_cents=570)
    deliver(shop.warehouse, "purchases", [corrected], loaded_at="2026-01-04T02:00:00")
    shop.land(
        # joins 10:05 and 10:44, and is what the second search found
        event("late", "view_item", "2026-01-02T10:25:00", EventItem("mug", index=4)),
        event("v2", "view_item", "2026-01-02T10:45:00", TEA),  # delivered before, with the jam
        loaded_at="2026-01-04T03:00:00",
    )


def _fifth(shop: Shop) -> None:
    changed = [
        item("jam", "PANTRY > JAM", 300),
        item("mug", "HOME > MUGS", 900, availability="out_of_stock"),  # nothing new, until the late stamp comes
        item("tea", "PANTRY > HOT DRINKS", 200),  # dora, who bought most of it, does nothing today
        item("pot", "HOME > POTS", 500),  # was ordered before it was known
    ]
    deliver(shop.warehouse, "items", changed, loaded_at="2026-01-05T01:00:00")
    # Two days after its first delivery, so that the window no longer holds that one: another shopper, and for o2
    # another day. ben and cleo have no order left.
    corrected = [
        order_line("o2", "jam", "2026-01-01T12:00:00", price_cents=300),
        order_line("o3", "mug", "2026-01-03T00:30:00", price_cents=900),
        order_line("o3", "jam", "2026-01-03T00:30:00", price_cents=350),
    ]
    deliver(shop.warehouse, "purchases", corrected, loaded_at="2026-01-05T02:00:00")
    again = [review("r1", "anna", "tea", 4, " good ", "2026-01-03T12:00:00")]
    deliver(shop.warehouse, "reviews", again, loaded_at="2026-01-05T02:00:00")
    back = event("f1", "refund", "2026-01-04T10:00:00", TEA, transaction_id="o1")
    late = event("c2", "add_to_cart", "2026-01-02T10:46:00", JAM)
    shop.land(back, late, loaded_at="2026-01-05T03:00:00")
