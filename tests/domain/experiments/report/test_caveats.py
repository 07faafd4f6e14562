"""Each limit of the data is stated where it holds, and only there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recommender.domain.experiments.report.caveats import may_not_claim

from tests.domain.experiments.report.facts import (
    CONFIG,
    FAIR,
    FOUND,
    WON,
    designed,
    says,
    stands,
)


def test_many_shipped_placements_share_no_single_error() -> None:
    both = stands(WON, replace(WON, placement="home_trending"))

    assert says(may_not_claim(both), "That each of the 2 shipped placements is right: the error of 2 %")
    assert not says(may_not_claim(stands(WON)), "That each of the")


@pytest.mark.parametrize(
    ("spread", "words"),
    [(0.2, "borrows from the other placements"), (0.8, "placements probably differ (probability 0.80)")],
)
def test_one_placement_and_all_of_them_are_told_apart(spread: float, words: str) -> None:
    assert says(may_not_claim(replace(FOUND, probability_of_spread=spread)), words)


@pytest.mark.parametrize(
    ("days", "design", "words"),
    [
        (3.0, {}, "days of the week that were not seen: the data cover 3.0 days"),
        (3.0, {"standardised": False}, "Anything about a whole week: the data cover 3.0 days"),
        (9.0, {"standardised": False}, "on every day of the week"),
        (9.0, {}, "novelty that fades within days is taken out, slower changes are not"),
        (9.0, {"standardised": False}, "the first days carry novelty and are not left out"),
        (13.0, {"standardised": False, "drop_days": 4}, "Anything about the first 4 days"),
    ],
)
def test_weekdays_and_novelty_are_told_as_the_design_treats_them(
    days: float, design: dict[str, object], words: str
) -> None:
    assert says(may_not_claim(designed(replace(FOUND, days=days), **design)), words)


def test_probable_novelty_is_named_with_its_probability() -> None:
    assert says(may_not_claim(replace(FOUND, novelty_probability=0.9)), "probably different (probability 0.90)")


def test_whole_weeks_leave_no_doubt_about_weekdays() -> None:
    assert not says(may_not_claim(designed(FOUND, looks="week", standardised=False)), "day of the week")


def test_a_killed_variant_is_named() -> None:
    assert says(may_not_claim(replace(FOUND, killed=["exp_default/hybrid"])), "exp_default/hybrid from now on")


def test_guardrails_are_watched_not_tested_and_a_breach_is_quoted() -> None:
    breach = {"state": "breach", "sentence": "Revenue per session fell by 12 %."}

    assert says(may_not_claim(FOUND), "only exposures and clicks are counted here")
    sentences = may_not_claim(replace(FOUND, guardrails=[breach]))
    assert says(sentences, "That shipping does no harm: Revenue per session fell by 12 %.")
    assert says(sentences, "watched against the hold-out, not tested")


def test_a_winner_was_tested_against_the_control_only() -> None:
    words = "better than the other challengers"

    assert says(may_not_claim(stands(WON)), words)
    two = replace(CONFIG, variants=("cohorts", "hybrid"))
    assert not says(may_not_claim(replace(stands(WON), config=two)), words)


def test_what_was_left_out_because_its_split_was_off_is_said() -> None:
    found = replace(FOUND, split=replace(FAIR, left_out=(3,)))

    assert says(may_not_claim(found), "1 epoch in which exposures did not match the weights: they are left out")
    assert not found.is_withheld
