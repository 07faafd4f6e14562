"""Steering a canary: off when it probably loses clicks, more traffic when it probably does not, by simulation too."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from recommender.domain.experiments.evidence.canary import (
    LADDER,
    PRIOR_SD,
    clicks_lost,
    page_dispersion,
    steer,
    steered,
    student_tail,
)
from recommender.domain.experiments.evidence.checks import check_split
from recommender.domain.experiments.evidence.tally import Tally, design_effect, split_clumping
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount
from scipy import stats

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = replace(default_config(NOW), mode="canary", variants=("hybrid", "canary"), bundle_id="b-2")
P, S = len(CONFIG.placements), 8
RATES = np.linspace(0.010, 0.026, P)  # clicks an exposure, 1.8 % on average


def evenly(exposures: tuple[int, int], clicks: tuple[int, int]) -> Tally:
    """One epoch with these counts of (control, canary) in each shard of each placement."""
    shape = (P, 1, 2, S)
    n, c = (np.broadcast_to(np.array(pair)[:, None], shape).astype(np.int64) for pair in (exposures, clicks))
    return Tally((1,), n, c)


def at(share: float) -> dict[str, tuple[float, float]]:
    return dict.fromkeys(CONFIG.placements, (1 - share, share))


def test_the_lift_is_the_ratio_of_click_rates_drawn_a_little_towards_none() -> None:
    loss = clicks_lost(evenly((9500, 500), (171, 8)), limit=0.1)

    clicks = 96 * 179  # 12 placements of 8 shards
    share = 8 / 179
    information = clicks * share * (1 - share)  # of a binomial share in log odds
    expected = math.log((8 / 500) / (171 / 9500)) * information / (information + PRIOR_SD**-2)
    assert loss.log_lift == pytest.approx(expected, abs=0.002)
    assert loss.sd == pytest.approx((information + PRIOR_SD**-2) ** -0.5, rel=0.02)
    assert loss.dispersion == 1.0


def test_without_any_clicks_the_prior_alone_speaks() -> None:
    loss = clicks_lost(evenly((100, 5), (0, 0)), limit=0.1)

    assert (loss.log_lift, loss.sd, loss.dispersion) == (0.0, PRIOR_SD, 1.0)
    assert loss.probability == pytest.approx(stats.norm.cdf(math.log(0.9) / PRIOR_SD), abs=0.01)
    assert clicks_lost(Tally((), np.zeros((P, 0, 2, S), np.int64), np.zeros((P, 0, 2, S), np.int64)), limit=0.1) == loss


def test_a_drift_of_the_level_and_of_the_weights_leaves_the_lift_alone() -> None:
    """Both variants have the same rate in each epoch; the good day is the one with more canary traffic."""
    n = np.ones((P, 2, 2, S), np.int64) * np.array([[9500, 500], [5000, 5000]])[None, :, :, None]
    c = np.rint(n * np.array([0.01, 0.03])[None, :, None, None]).astype(np.int64)

    assert clicks_lost(Tally((1, 2), n, c), limit=0.1).log_lift == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(
    ("clicks", "share", "expected", "state"),
    [
        ((171, 9), 0.05, 0.2, "rising"),
        ((171, 9), 0.2, 0.5, "rising"),
        ((171, 9), 0.5, 0.5, "ready"),
        ((171, 8), 0.05, 0.05, "watching"),  # 11 % fewer: more likely than not beyond the limit of 10 %
        ((171, 6), 0.05, 0.0, "off"),
        ((171, 6), 0.5, 0.0, "off"),
        ((171, 9), 0.0, 0.0, "off"),  # taken off before: it stays off
    ],
)
def test_the_step_follows_from_the_loss(clicks: tuple[int, int], share: float, expected: float, state: str) -> None:
    step = steer(CONFIG, evenly((9500, 500), clicks), weights=at(share))

    assert step.state == state
    assert step.weights == at(expected)
    assert step.kills == (("exp_default/canary",) if state == "off" else ())


def test_clicks_in_clumps_across_placements_are_worth_less() -> None:
    """Ten clicks more in every placement of one shard: the same shoppers, once for each placement of the page."""
    counts = evenly((5000, 5000), (90, 90))
    clumped = counts.clicks.copy()
    clumped[:, :, :, 0] += 10
    clumped[:, :, :, 1] -= 10

    n, c = counts.exposures.astype(float), clumped.astype(float)

    # Of each variant: two shards off by 12 * 10; independent clicks would have variance 12 * 720 * 7/64 over 8 shards.
    assert page_dispersion(n, c) == pytest.approx(2 * 120**2 / (12 * 720 * 7 / 8))
    assert design_effect(Tally((1,), counts.exposures, clumped)) == pytest.approx(2 * 10**2 / (720 * 7 / 8), abs=1)
    assert clicks_lost(Tally((1,), counts.exposures, clumped), limit=0.1).sd > clicks_lost(counts, limit=0.1).sd


@pytest.mark.parametrize("t", [0.0, 0.5, 1.0, 1.645, 2.5, -1.0])
def test_the_tail_is_students(t: float) -> None:
    assert student_tail(t, degrees=14) == pytest.approx(stats.t.sf(t, 14), abs=0.001)


def test_the_record_of_a_look_gets_the_canarys_weights_and_decides_nothing_else() -> None:
    cells = [
        CellCount("exp_default", placement, 1, "session", variant, exposures, clicks, shard)
        for placement in CONFIG.placements
        for variant, exposures, clicks in (("hybrid", 9500, 171), ("canary", 500, 6))
        for shard in range(S)
    ]
    look: dict[str, Any] = {
        "epoch": 1,
        "kills": [],
        "decided": {"home_hero": "canary"},
        "placements": {placement: {"next_weights": [0.3, 0.7], "z": [1.0]} for placement in CONFIG.placements},
    }

    record = steered(look, CONFIG, cells, weights=at(0.05))

    assert (record["epoch"], record["kills"], record["decided"]) == (1, ["exp_default/canary"], {})
    assert record["placements"]["home_hero"] == {"next_weights": [1.0, 0.0], "z": [1.0]}
    assert (record["canary"]["state"], record["canary"]["bundle_id"]) == ("off", "b-2")
    mean, low, high = record["canary"]["lift"]
    assert low < mean < high < 0 < record["canary"]["probability_of_loss"]


@pytest.mark.parametrize("split", [{"suspect": True}, {"suspect": False, "waits": True}], ids=["all days", "this day"])
@pytest.mark.parametrize(
    ("exposures", "clicks", "state", "share"),
    [
        ((9500, 500), 9, "watching", 0.2),  # would rise to half of the traffic
        ((9500, 100), 2, "off", 0.0),  # a fifth of the smallest share: its pages fail
    ],
)
def test_on_a_suspect_split_no_canary_rises_and_one_without_its_pages_is_off(
    exposures: tuple[int, int], clicks: int, state: str, share: float, split: dict[str, bool]
) -> None:
    cells = [
        CellCount("exp_default", placement, 1, "session", variant, n, c, shard)
        for placement in CONFIG.placements
        for variant, n, c in zip(CONFIG.variants, exposures, (171, clicks), strict=True)
        for shard in range(S)
    ]
    look = {"split": split, "placements": {placement: {} for placement in CONFIG.placements}}

    record = steered(look, CONFIG, cells, weights=at(0.2))

    assert record["canary"]["state"] == state
    assert record["placements"]["home_hero"]["next_weights"] == [1 - share, share]
    assert record["kills"] == (["exp_default/canary"] if state == "off" else [])


def split_of(seed: int, *, failing: float) -> bool:
    """Is the split of ten simulated days at 5 % suspect, where this share of the canary's pages fails?"""
    rng = np.random.default_rng(seed)
    is_canary, shard = rng.random(12_750) < 0.05, rng.integers(0, S, 12_750)
    n = np.zeros((P, 10, 2, S), np.int64)
    for t in range(10):
        lists = rng.poisson(4.0, 12_750) * (rng.random(12_750) < 1 / 3)
        n[:, t, 0] = np.bincount(shard, lists * ~is_canary, S)
        n[:, t, 1] = np.bincount(shard, lists * is_canary * (rng.random(12_750) >= failing), S)
    exposures = n.sum(axis=3)
    expected = exposures.sum(axis=2, keepdims=True) * np.array([0.95, 0.05])
    clumping = split_clumping(CONFIG, Tally(tuple(range(10)), n, np.zeros_like(n)))
    return check_split(exposures, expected, design_effect=clumping).is_suspect


def test_whole_pages_are_no_reason_to_suspect_the_split_and_failing_pages_are() -> None:
    assert not any(split_of(seed, failing=0.0) for seed in range(20))
    assert all(split_of(seed, failing=0.9) for seed in range(10))


@dataclass(frozen=True)
class Ran:
    """One simulated canary: the epoch in which it was taken off (0: never), and the share of all clicks lost."""

    off_after: int
    clicks_lost: float
    share: float


def run(rng: np.random.Generator, *, lift: float, clumping: float, epochs: int = 10, shoppers: int = 12_750) -> Ran:
    """A canary in a simulated shop; a third of the shoppers comes each day and sees four lists of each placement.

    Shoppers click by a taste of their own, Gamma(1 / clumping), in all placements: 17,000 exposures of a placement
    and 3,700 clicks a day. A shopper stays with a variant as long as the weights let him.
    """
    place, shard = rng.random(shoppers), rng.integers(0, S, shoppers)
    taste = rng.gamma(1 / clumping, clumping, shoppers)
    n, c = np.zeros((P, epochs, 2, S), np.int64), np.zeros((P, epochs, 2, S), np.int64)
    share, lost = LADDER[0], 0.0
    for t in range(epochs):
        lists = rng.poisson(4.0, shoppers) * (rng.random(shoppers) < 1 / 3)
        for k, group in enumerate((place >= share, place < share)):
            n[:, t, k] = np.bincount(shard[group], lists[group], S)
            wish = np.bincount(shard[group], (lists * taste)[group], S)
            c[:, t, k] = rng.poisson(RATES[:, None] * wish * (lift if k else 1.0))
        lost += float(c[:, t, 1].sum()) * (1 / lift - 1)
        counts = Tally(tuple(range(t + 1)), n[:, : t + 1], c[:, : t + 1])
        share = steer(CONFIG, counts, weights=at(share)).weights["home_hero"][1]
        if share == 0:
            return Ran(t + 1, lost / (c.sum() / (t + 1) * epochs), share)
    return Ran(0, lost / c.sum(), share)


def many(count: int, *, lift: float, clumping: float) -> list[Ran]:
    return [run(np.random.default_rng(seed), lift=lift, clumping=clumping) for seed in range(count)]


def average(values: list[float]) -> float:
    return float(np.mean(values))


def test_simulated_canaries_as_good_as_the_control_survive_and_come_to_half_of_the_traffic() -> None:
    for clumping, reach in ((0.01, 0.95), (1.0, 0.6)):
        runs = many(150, lift=1.0, clumping=clumping)

        assert average([float(ran.off_after == 0) for ran in runs]) >= 0.97
        assert average([float(ran.share == LADDER[-1]) for ran in runs]) >= reach


def test_simulated_canaries_that_lose_a_third_of_the_clicks_are_taken_off_within_days_and_cost_little() -> None:
    for clumping, days, found in ((0.01, 2, 0.95), (1.0, 5, 0.9)):
        runs = many(100, lift=0.7, clumping=clumping)

        assert average([float(0 < ran.off_after <= days) for ran in runs]) >= found
        assert average([ran.clicks_lost for ran in runs]) <= 0.005
        assert max(ran.clicks_lost for ran in runs) <= 0.05
