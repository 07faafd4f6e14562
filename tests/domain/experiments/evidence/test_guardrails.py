"""Guardrails: intervals that hold what they promise for shoppers who differ; states that say no more than is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from recommender.domain.experiments.evidence.guardrails import (
    Guardrail,
    guardrail_to_json,
    guardrails,
    kills,
    variant_guardrails,
)
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.shop_counts import ShopCount

CONFIG = replace(default_config(datetime(2026, 11, 23, tzinfo=UTC)), placements=("home_hero", "pdp_similar"))
DAY = "2026-11-23"


def shop(rng: np.random.Generator, *, visitors: int = 20_000, effect: float = 1.0) -> list[ShopCount]:
    """A simulated month: each shopper has a rate of visits and a chance to buy of his own (gamma, CV 1)."""
    held = rng.random(visitors) < 0.1
    bucket = rng.integers(0, 64, visitors)
    sessions = rng.poisson(rng.gamma(1.0, 3.0, visitors))
    chance = np.minimum(rng.gamma(1.0, 0.2, visitors) * np.where(held, 1.0, effect), 1.0)
    orders = rng.binomial(sessions, chance)
    revenue = (orders * rng.gamma(2.0, 1500.0, visitors)).astype(np.int64)
    sums = np.zeros((2, 64, 3), np.int64)
    np.add.at(sums, (1 - held.astype(int), bucket), np.stack([sessions, orders, revenue], axis=1))
    return [
        ShopCount(
            DAY,
            group,
            b,
            sessions=int(sums[g, b, 0]),
            orders=int(sums[g, b, 1]),
            units=2 * int(sums[g, b, 1]),
            revenue_cents=int(sums[g, b, 2]),
        )
        for g, group in enumerate(("holdout", "treated"))
        for b in range(64)
    ]


def found(sums: list[ShopCount]) -> Mapping[str, Guardrail]:
    return {one.name: one for one in guardrails(CONFIG, sums)}


def test_the_true_ratio_is_in_the_interval_nineteen_times_of_twenty() -> None:
    rng = np.random.default_rng(4)
    inside = {"revenue_per_session": 0, "orders_per_session": 0}
    repeats = 400

    for _ in range(repeats):
        sums = found(shop(rng, visitors=8_000))
        for name in inside:
            ratio = sums[name].ratio
            assert ratio is not None
            inside[name] += ratio[1] <= 1.0 <= ratio[2]

    for hits in inside.values():
        assert hits / repeats == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / repeats) ** 0.5)


def test_no_loss_ends_no_experiment_and_a_large_one_does() -> None:
    rng = np.random.default_rng(5)

    assert not any(kills(CONFIG, guardrails(CONFIG, shop(rng))) for _ in range(100))
    assert kills(CONFIG, guardrails(CONFIG, shop(rng, visitors=60_000, effect=0.5))) == ["exp_default"]


def even(**sums: int) -> dict[str, int]:
    return {"sessions": 100, "orders": 10, "units": 20, "revenue_cents": 50_000, **sums}


def table(treated: dict[str, int], *, noise: int = 0) -> list[ShopCount]:
    """Every bucket alike, but for `noise` cents more or less in every other one, the other way in the hold-out."""
    return [
        ShopCount(DAY, group, b, **{**sums, "revenue_cents": sums["revenue_cents"] + sign * noise * (-1) ** b})
        for sign, group, sums in ((-1, "holdout", even()), (1, "treated", treated))
        for b in range(64)
    ]


def test_ratios_are_those_of_the_sums() -> None:
    one = found(table(even(revenue_cents=40_000, units=24)))

    assert one["revenue_per_session"].treated == pytest.approx(400)
    assert one["revenue_per_session"].holdout == pytest.approx(500)
    for name, ratio in {
        "revenue_per_session": 0.8,
        "orders_per_session": 1.0,
        "order_value": 0.8,
        "units_per_order": 1.2,
    }.items():
        value = one[name].ratio
        assert value is not None
        assert value[0] == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("revenue", "noise", "state", "is_killed"),
    [
        (50_000, 500, "ok", False),
        (47_500, 500, "watch", False),  # 5 % less for sure
        (40_000, 500, "breach", True),
        (45_500, 25_000, "too_early", False),  # 9 % less or nothing: buckets differ by half
    ],
)
def test_the_state_says_whether_a_loss_beyond_ten_percent_is_excluded(
    revenue: int, noise: int, state: str, is_killed: bool
) -> None:
    one = found(table(even(revenue_cents=revenue), noise=noise))["revenue_per_session"]

    assert (one.state, one.kills) == (state, is_killed)


def test_without_orders_or_margins_nothing_is_said() -> None:
    unknown = found(table(even()))["margin_per_session"]
    few = guardrails(
        CONFIG, [ShopCount(DAY, "holdout", 1, 9, 1, 1, 500), ShopCount(DAY, "treated", 1, 99, 10, 10, 5000)]
    )

    assert (unknown.state, unknown.ratio, unknown.kills) == ("too_early", None, False)
    assert {one.state for one in (*few, *guardrails(CONFIG, []))} == {"too_early"}
    assert guardrails(replace(CONFIG, holdout_share=0.0), table(even())) == []


def served(rng: np.random.Generator, ms: Mapping[str, float], degraded: Mapping[str, float]) -> list[CellCount]:
    """Simulated: traffic moves to the last variant while every answer becomes slower from epoch to epoch."""
    cells = []
    for placement in CONFIG.placements:
        for epoch in range(1, 7):
            for variant, traffic in zip(CONFIG.variants, (400, 400, 100 * epoch), strict=True):
                for shard in range(8):
                    n = int(rng.poisson(traffic))
                    total = int(rng.normal(n * (ms[variant] + 40 * epoch), 10 * n**0.5))
                    broken = int(rng.binomial(n, degraded[variant]))
                    cells.append(
                        CellCount("exp_default", placement, epoch, "user", variant, n, 0, shard, total, broken)
                    )
    return cells


EQUAL_MS = dict.fromkeys(CONFIG.variants, 60.0)
RARELY = dict.fromkeys(CONFIG.variants, 0.002)


def test_a_slow_day_on_which_a_variant_had_more_traffic_is_not_held_against_it() -> None:
    findings = variant_guardrails(CONFIG, served(np.random.default_rng(6), EQUAL_MS, RARELY))

    assert [(one.name, one.variant) for one in findings] == [
        (name, variant) for name in ("serving_ms", "complete_answers") for variant in CONFIG.variants[1:]
    ]
    assert {one.state for one in findings} <= {"ok", "watch"}
    assert kills(CONFIG, findings) == []
    slowest = findings[1]
    assert slowest.treated is not None and slowest.holdout is not None and slowest.ratio is not None
    assert slowest.treated / slowest.holdout > 1.05  # what the plain means would say
    assert slowest.ratio[0] == pytest.approx(1.0, abs=0.01)


def test_a_slow_and_a_broken_variant_are_each_taken_off() -> None:
    rng = np.random.default_rng(7)
    slow = served(rng, {**EQUAL_MS, "hybrid": 200.0}, RARELY)
    broken = served(rng, EQUAL_MS, {**RARELY, "hybrid_margin": 0.05})

    assert kills(CONFIG, variant_guardrails(CONFIG, slow)) == ["exp_default/hybrid"]
    assert kills(CONFIG, variant_guardrails(CONFIG, broken)) == ["exp_default/hybrid_margin"]


def test_a_few_milliseconds_are_no_breach_however_large_their_ratio() -> None:
    cells = [
        CellCount("exp_default", "home_hero", 1, "user", variant, 1000, 0, shard, 1000 * ms)
        for variant, ms in zip(CONFIG.variants, (4, 12, 4), strict=True)
        for shard in range(8)
    ]

    assert {(one.state, one.kills) for one in variant_guardrails(CONFIG, cells)} <= {
        ("watch", False),
        ("ok", False),
        ("too_early", False),
    }


def test_tokens_without_serving_time_leave_only_what_they_tell() -> None:
    cells = [replace(cell, served_ms=0) for cell in served(np.random.default_rng(8), EQUAL_MS, RARELY)]

    assert {one.name for one in variant_guardrails(CONFIG, cells)} == {"complete_answers"}
    assert variant_guardrails(CONFIG, []) == []


def test_a_finding_as_json_has_what_the_report_shows() -> None:
    body = guardrail_to_json(found(table(even(revenue_cents=40_000)))["revenue_per_session"])

    assert body == {
        "name": "revenue_per_session",
        "unit": "cents",
        "treated": 400.0,
        "holdout": 500.0,
        "ratio": {"value": 0.8, "low": 0.8, "high": 0.8},
        "state": "breach",
        "sentence": "Revenue per session: -20.0% against the hold-out (-20.0% to -20.0%); "
        "a change beyond -10% is certain.",
        "kills": True,
    }
