"""Trade is booked to the group and bucket of its visitor, on the day of the event, each reward once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from recommender.domain.experiments.running.assignment import in_holdout, is_held_out
from recommender.domain.experiments.running.config import Snapshot, default_config, first_snapshot
from recommender.domain.experiments.running.shop_counts import (
    ShopCount,
    bucket_of,
    held_out_share,
    shop_counts,
    traded_items,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)
HELD = next(f"v_{n}" for n in range(1000) if is_held_out(CONFIG, f"v_{n}"))


def record(*rewards: str, visitor: str = HELD, items: tuple[tuple[str, int, int | None], ...] = ()) -> dict[str, Any]:
    return {
        "visitor_id": visitor,
        "event_time": "2026-11-23T23:59:59Z",
        "rewards": list(rewards),
        "items": [{"item_id": name, "quantity": count, "price_cents": cents} for name, count, cents in items],
    }


def booked(*records: dict[str, Any], **margins: float) -> list[ShopCount]:
    return shop_counts(records, holdout_share=CONFIG.holdout_share, margin_shares=margins)


def cell(visitor: str = HELD, **sums: int) -> ShopCount:
    group = "holdout" if visitor == HELD else "treated"
    return ShopCount("2026-11-23", group, bucket_of(visitor), **sums)


def test_an_order_adds_its_units_revenue_and_the_margin_that_is_known() -> None:
    order = record("order", "session", items=(("A", 3, 250), ("B", 1, 1000), ("C", 2, None)))

    assert booked(order, A=0.4) == [
        cell(
            sessions=1,
            orders=1,
            units=3 + 1 + 2,
            revenue_cents=3 * 250 + 1000,
            margin_cents=3 * 100,
            costed_cents=3 * 250,
        )
    ]


def test_a_refund_takes_back_what_the_order_brought_but_not_the_order() -> None:
    items = (("A", 2, 250),)

    assert booked(record("order", items=items), record("refund", items=items), A=0.4) == [cell(orders=1)]


def test_an_event_that_newly_counts_nothing_is_not_booked() -> None:
    assert booked(record("exposure", "click"), record(items=(("A", 1, 100),))) == []


def test_visitors_are_booked_to_their_group_and_to_one_of_64_buckets() -> None:
    counts = booked(record("session", visitor="somebody"), record("session"))

    assert counts == [cell(sessions=1), cell("somebody", sessions=1)]
    assert {bucket_of(f"v_{n}") for n in range(1000)} == set(range(64))


def test_a_smaller_hold_out_is_part_of_a_larger_one() -> None:
    small = {n for n in range(5000) if in_holdout(f"v_{n}", 0.05)}

    assert small < {n for n in range(5000) if in_holdout(f"v_{n}", 0.1)}
    assert 0.04 < len(small) / 5000 < 0.06


def test_the_largest_hold_out_of_the_experiments_in_force_is_booked() -> None:
    snapshot = first_snapshot(CONFIG, NOW)
    larger = replace(CONFIG, experiment_id="exp_other", holdout_share=0.1)
    draft = replace(CONFIG, experiment_id="exp_draft", holdout_share=0.5, status="draft")

    assert held_out_share(replace(snapshot, configs=(CONFIG, larger, draft))) == 0.1
    assert held_out_share(None) is None
    assert held_out_share(Snapshot(0, "", (), {})) is None


def test_only_what_was_newly_traded_needs_a_margin() -> None:
    records = [
        record("order", items=(("A", 1, 1),)),
        record("refund", items=(("B", 1, 1),)),
        record(items=(("C", 1, 1),)),
    ]

    assert traded_items(records) == {"A", "B"}
