"""The lift over the hold-out: within strata, shrunk, and as sure as whole visitors allow."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.domain.experiments.evidence.holdout import against_holdout
from recommender.domain.experiments.evidence.tally import stratified
from recommender.domain.experiments.report.history import segment_estimates
from recommender.domain.experiments.running.config import ExperimentConfig, default_config
from recommender.domain.experiments.running.counts import CellCount

CONFIG = default_config(datetime(2026, 11, 2, tzinfo=UTC))
HERO, NEXT = "home_hero", "order_next"


def cell(segment: str, variant: str, exposures: int, clicks: int, *, place: str = HERO, epoch: int = 1) -> CellCount:
    return CellCount(CONFIG.experiment_id, place, epoch, segment, variant, exposures, clicks)


def spread(
    segment: str, variant: str, exposures: int, clicks: int, *, place: str = HERO, epoch: int = 1
) -> list[CellCount]:
    """The same counts in each of the 8 shards: no clumping."""
    at = (CONFIG.experiment_id, place, epoch, segment, variant)
    return [CellCount(*at, exposures, clicks, shard) for shard in range(8)]


def holdout_of(cells: list[CellCount]) -> dict[str, object]:
    return against_holdout(CONFIG, stratified(CONFIG, cells))


def test_raw_rates_stand_beside_the_lift() -> None:
    found = holdout_of([*spread("holdout", "cohorts", 5_000, 100), *spread("prior", "hybrid", 50_000, 1_200)])

    assert found["held_out"] == {"exposures": 40_000, "clicks": 800, "click_rate": 0.02}
    assert found["others"] == {"exposures": 400_000, "clicks": 9_600, "click_rate": 0.024}
    lift = found["lift"]
    assert isinstance(lift, dict)
    assert 0 < lift["lift_low"] < lift["lift_median"] < lift["lift_high"]
    assert lift["lift_median"] == pytest.approx(0.024 / 0.02 - 1, abs=0.01)


@pytest.mark.parametrize(
    "cells", [[], [cell("prior", "hybrid", 9, 1)], [cell("holdout", "cohorts", 9, 0), cell("prior", "hybrid", 9, 1)]]
)
def test_there_is_no_lift_without_clicks_on_both_sides(cells: list[CellCount]) -> None:
    assert holdout_of(cells)["lift"] is None


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(0.2, 5.0), volume=st.integers(1, 20))
def test_a_placement_with_other_rates_and_other_traffic_does_not_move_the_lift(rate: float, volume: int) -> None:
    """Both sides gain the same rate in the second stratum, where the hold-out has another share of the traffic."""
    first = [*spread("holdout", "cohorts", 10_000, 200), *spread("prior", "cohorts", 100_000, 2_000)]
    clicks = round(200 * rate)
    second = [
        *spread("holdout", "cohorts", 10_000, clicks, place=NEXT),
        *spread("prior", "cohorts", 10_000 * volume, clicks * volume, place=NEXT),
    ]

    lift = holdout_of([*first, *second])["lift"]

    assert isinstance(lift, dict)
    assert lift["lift_median"] == pytest.approx(0, abs=2e-3)


def test_each_variant_is_compared_by_those_who_saw_it() -> None:
    found = holdout_of([
        *spread("holdout", "cohorts", 10_000, 200),
        *spread("prior", "cohorts", 50_000, 1_000),
        *spread("user", "hybrid", 50_000, 1_300),
    ])  # fmt: skip

    by_name = {entry["variant"]: entry["lift"] for entry in found["variants"]}  # type: ignore[attr-defined]
    assert by_name["cohorts"]["lift_median"] == pytest.approx(0, abs=0.005)
    assert by_name["hybrid"]["lift_low"] > 0.1
    assert by_name["hybrid_margin"] is None


def test_the_interval_holds_the_truth_where_shoppers_come_back_and_see_every_placement() -> None:
    """40 worlds with +20 %; shoppers have rates and visits of their own: 36 intervals at least hold the truth."""
    rng = np.random.default_rng(11)
    covered = sum(_covers(0.2, rng) for _ in range(40))

    assert covered >= 36


def _covers(truth: float, rng: np.random.Generator) -> bool:
    """4,000 shoppers, 8 % held out; click rates vary by shopper (coefficient of variation 1), placements share them."""
    count = 4_000
    held = rng.random(count) < 0.08
    shard = rng.integers(0, 8, count)
    rate = 0.05 * rng.gamma(1.0, 1.0, count) * np.where(held, 1.0, 1 + truth)
    cells = []
    for place in CONFIG.placements[:3]:
        visits = rng.poisson(6, count)
        clicks = rng.binomial(visits, np.minimum(rate, 1.0))
        for is_held, segment in ((True, "holdout"), (False, "user")):
            for s in range(8):
                mine = (held == is_held) & (shard == s)
                at = (CONFIG.experiment_id, place, 1, segment, "cohorts")
                cells.append(CellCount(*at, int(visits[mine].sum()), int(clicks[mine].sum()), s))
    lift = holdout_of(cells)["lift"]
    assert isinstance(lift, dict)
    return bool(lift["lift_low"] <= truth <= lift["lift_high"])


def two_segments(lift_of_prior: float, lift_of_user: float) -> list[CellCount]:
    lifts = {"prior": lift_of_prior, "user": lift_of_user}
    return [
        count
        for segment, lift in lifts.items()
        for place in CONFIG.placements
        for variant, better in (("cohorts", 0.0), ("hybrid", lift))
        for count in spread(segment, variant, 5_000, round(100 * (1 + better)), place=place)
    ]


def test_segments_that_agree_are_drawn_together_and_segments_that_differ_stay_apart() -> None:
    agree = segment_estimates(CONFIG, stratified(CONFIG, two_segments(0.1, 0.1)))
    differ = segment_estimates(CONFIG, stratified(CONFIG, two_segments(-0.2, 0.3)))

    assert [entry["segment"] for entry in agree["entries"]] == ["prior", "user"]
    first, second = (entry["variants"][1]["lift_median"] for entry in agree["entries"])
    assert first == pytest.approx(second, abs=1e-6)
    low, high = (entry["variants"][1]["lift_median"] for entry in differ["entries"])
    assert (low, high) == (pytest.approx(-0.2, abs=0.05), pytest.approx(0.3, abs=0.05))
    assert differ["spread"][0]["probability"] < 0.05 < agree["spread"][0]["probability"]


def test_visitors_that_are_not_told_apart_have_no_segments() -> None:
    empty: ExperimentConfig = CONFIG

    assert segment_estimates(empty, stratified(CONFIG, [cell("all", "hybrid", 9, 1)])) == {"spread": [], "entries": []}
