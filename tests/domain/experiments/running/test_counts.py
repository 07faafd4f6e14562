"""From accepted events to cells: the exposure's epoch and variant, each reward once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from recommender.domain.experiments.running.counts import CellCount, merged, outcomes, shard_of


def record(*rewards: str, visitor: str = "v_1", **claims: object) -> dict[str, Any]:
    known = {"experiment": "exp", "placement": "home_hero", "epoch": 7, "variant": "hybrid", "is_holdout": False}
    return {"visitor_id": visitor, "rewards": list(rewards), "claims": {**known, **claims}}


def cell(exposures: int, clicks: int, *, epoch: int = 7, segment: str = "all", variant: str = "hybrid") -> CellCount:
    return CellCount("exp", "home_hero", epoch, segment, variant, exposures, clicks, shard_of("v_1"))


def test_rewards_are_added_up_by_cell() -> None:
    events = [record("exposure"), record("exposure"), record("click"), record("exposure", "click")]

    assert outcomes(events) == [cell(3, 2)]


def test_a_click_is_booked_to_the_epoch_and_variant_of_its_exposure() -> None:
    assert outcomes([record("click", epoch=3, variant="cohorts")]) == [cell(0, 1, epoch=3, variant="cohorts")]


def test_the_hold_out_is_a_segment_of_its_own() -> None:
    held_out = record("exposure", variant="cohorts", is_holdout=True)

    assert outcomes([held_out]) == [cell(1, 0, segment="holdout", variant="cohorts")]


def test_what_was_known_of_the_visitor_is_the_segment_of_all_others() -> None:
    seen = [record("exposure", segment="user"), record("exposure", segment="prior"), record("exposure", segment="")]

    assert {(count.segment, count.exposures) for count in outcomes(seen)} == {("user", 1), ("prior", 1), ("all", 1)}
    assert [count.segment for count in outcomes([record("click", segment="user", is_holdout=True)])] == ["holdout"]


def test_serving_time_and_missing_parts_are_added_up_once_for_each_exposure() -> None:
    slow = record("exposure", "click", served_ms=30, degraded=True)
    clicked_later = record("click", served_ms=30, degraded=True)
    fast = record("exposure", served_ms=12, degraded=False)

    assert outcomes([slow, clicked_later, fast]) == [replace(cell(2, 2), served_ms=30 + 12, degraded=1)]


def test_events_without_claims_without_rewards_or_outside_of_experiments_count_nothing() -> None:
    plain: dict[str, Any] = {"visitor_id": "v_1", "rewards": [], "claims": None}

    assert outcomes([plain, record(), record("exposure", experiment="")]) == []


def test_all_events_of_a_shopper_are_in_one_shard_and_shoppers_are_spread_over_all_shards() -> None:
    assert {shard_of(f"v_{n}") for n in range(200)} == set(range(8))
    assert [count.shard for count in outcomes([record("exposure"), record("click", epoch=8)])] == [shard_of("v_1")] * 2


def test_merging_keeps_the_sums_whatever_the_order() -> None:
    parts = [cell(1, 0), cell(2, 1, epoch=8), cell(3, 1)]

    assert merged(parts) == merged(reversed(parts)) == [cell(4, 1), cell(2, 1, epoch=8)]
