"""Numbers and names as words, and the facts that follow from the standings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recommender.domain.experiments.evidence.posterior import Posterior
from recommender.domain.experiments.evidence.standing import Standing
from recommender.domain.experiments.report.findings import (
    POWER_QUANTILE,
    days,
    interval,
    listed,
    percent,
    placements,
    share,
    visible_lift,
)

from tests.domain.experiments.report.facts import BY_HAND, CONFIG, FOUND, KEPT, NAMES, OFF, WON, stands


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (percent(0.0984), "+9.8 %"),
        (percent(-0.1), "-10.0 %"),
        (share(0.02), "2 %"),
        (share(0.0025), "0.25 %"),
        (share(1.0), "100 %"),
        (days(10.0), "10"),
        (days(9.46), "9.5"),
        (interval((0.098, 0.051, 0.147)), "+9.8 % (95 % posterior interval +5.1 % to +14.7 %)"),
        (listed(["a"]), "a"),
        (listed(["a", "b"]), "a and b"),
        (listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_and_names_in_words(words: str, expected: str) -> None:
    assert words == expected


def test_all_placements_are_counted_and_fewer_are_named() -> None:
    everywhere = [Standing(name) for name in NAMES]

    assert placements(everywhere, CONFIG) == "all 5 placements"
    assert placements(everywhere[:2], CONFIG) == "home_hero and home_trending"
    assert placements([WON], replace(CONFIG, placements=("home_hero",))) == "home_hero"


def test_standings_are_told_apart_by_what_was_decided_and_by_whom() -> None:
    killed = Standing("home_trending", "killed", "cohorts")
    found = stands(WON, KEPT, BY_HAND, killed)

    assert (found.shipped, found.kept, found.by_hand, found.taken_off) == ([WON], [KEPT], [BY_HAND], [killed])
    assert [standing.placement for standing in found.undecided] == ["cart_cross_sell"]


@pytest.mark.parametrize(
    ("found", "is_off"),
    [
        (FOUND, False),
        (replace(FOUND, config=replace(CONFIG, status="paused")), True),
        (replace(FOUND, config=replace(CONFIG, status="killed")), True),
        (replace(FOUND, killed=(CONFIG.experiment_id,)), True),
        (replace(FOUND, killed=(f"{CONFIG.experiment_id}/hybrid",)), False),
    ],
)
def test_an_experiment_is_off_where_the_control_serves_everybody(found: object, is_off: bool) -> None:
    assert found.is_off is is_off  # type: ignore[attr-defined]


def test_a_suspect_split_withholds_every_comparison() -> None:
    assert not FOUND.is_withheld
    assert replace(FOUND, split=OFF).is_withheld


def test_the_visible_lift_is_that_of_the_boundary_with_80_percent_power() -> None:
    spread = np.array([[[0.01**2]], [[0.02**2]], [[0.04**2]]])  # (P, C, C): sd .01, .02, .04
    posterior = object.__new__(Posterior)
    object.__setattr__(posterior, "covariance", spread)

    assert visible_lift(posterior, 2.0) == round(float(np.expm1((2.0 + POWER_QUANTILE) * 0.02)), 6)
    assert visible_lift(posterior, None) is None
