"""Five equal weeks of a healthy shop, so that every check has something to judge and finds nothing wrong."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from recommender.contracts.events import EventItem

from tests.warehouse.shop import Shop, deliver, event, order_line
from tests.warehouse.story import CLAIMS
from warehouse.day.day import DayRun, run_day

DAY = date(2026, 2, 3)
ROWS = 60  # of orders and of events a day


def run_healthy_weeks(shop: Shop) -> DayRun:
    """Deliver four weeks and run them, then the day; returns the run of the day."""
    for weeks in (4, 3, 2, 1):
        _deliver(shop, DAY - timedelta(weeks=weeks), price_cents=200)
    run_day(shop.warehouse.connection, DAY - timedelta(days=2))
    _deliver(shop, DAY, price_cents=210)
    evening = datetime.combine(DAY, datetime.min.time()) - timedelta(hours=3)
    shown = event(
        "l1", "view_item_list", f"{evening}", EventItem("tea", index=0), visible=True, attribution_token="signed"
    )
    chosen = event("k1", "select_item", f"{evening + timedelta(minutes=1)}", EventItem("tea", index=0))
    for number, done in enumerate((shown, chosen)):
        shop.land(done, loaded_at=f"{DAY}T02:1{number}:00", claims=CLAIMS)
    return run_day(shop.warehouse.connection, DAY)


def row_of(event_id: str | None, event_name: str, event_time: datetime, **more: Any) -> dict[str, Any]:
    """A row of raw.events."""
    session = {"visitor_id": "browser", "session_id": f"visit {event_id}", "items": "[]", "derived": "false"}
    return {"event_id": event_id, "event_name": event_name, "event_time": event_time, **session, **more}


def _deliver(shop: Shop, day: date, *, price_cents: int) -> None:
    eve, night = datetime.combine(day, datetime.min.time()) - timedelta(hours=4), f"{day}T02:00:00"
    catalogue = [
        {"item_id": name, "title": name, "category": "PANTRY", "price_cents": price_cents, "cost_cents": 100}
        for name in ("tea", "jam")
    ]
    deliver(shop.warehouse, "items", catalogue, loaded_at=night)
    lines = [
        order_line(f"{day} {number}", ("tea", "jam")[number % 2], f"{eve}", shopper_id=f"shopper {number}")
        for number in range(ROWS)
    ]
    deliver(shop.warehouse, "purchases", lines, loaded_at=night)
    rows = [
        row_of(
            f"{day} {number}",
            "view_item",
            eve,
            items='[{"item_id": "tea"}]',
            visitor_id=f"browser {number}",
            user_id=f"shopper {number}",
        )
        for number in range(ROWS)
    ]
    deliver(shop.warehouse, "events", rows, loaded_at=night)
    review = {"review_id": f"{day}", "item_id": "tea", "rating": 5, "text": "good"}
    deliver(shop.warehouse, "reviews", [review], loaded_at=night)
