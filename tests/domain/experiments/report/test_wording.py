"""Each sentence of a report follows from facts: which are said, which are not, and with what figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.experiments.report.caveats import may_not_claim
from recommender.domain.experiments.report.findings import Findings, percent
from recommender.domain.experiments.report.wording import headline, may_claim, so_far

from tests.domain.experiments.report.facts import (
    BY_HAND,
    CONFIG,
    FOUND,
    KEPT,
    NAMES,
    OFF,
    WON,
    designed,
    says,
    stands,
)


def test_a_shipped_variant_is_better_than_the_control_in_that_placement() -> None:
    claims = may_claim(stands(WON))

    assert claims[0] == (
        "hybrid is better than cohorts in home_hero (+9.8 %, 95 % interval +5.1 % to +14.7 %); decided on day 9."
    )
    assert (
        "calibrated boundary (z of 2.60), which variants that equal the control pass in 2 % of placements" in claims[1]
    )
    assert "posterior median at that look" in claims[1]


def test_of_many_placements_the_smallest_and_the_largest_lift_are_told() -> None:
    won = [replace(WON, placement=name, lift=(0.05 + n / 100, 0.01, 0.2)) for n, name in enumerate(NAMES)]

    claim = may_claim(stands(*won))[0]

    assert claim == (
        "hybrid is better than cohorts in all 5 placements: lifts from +5.0 % (home_hero, 95 % interval +1.0 % to "
        "+20.0 %) to +9.0 % (order_next, 95 % interval +1.0 % to +20.0 %); decided on day 9."
    )


def test_variants_that_won_on_other_days_have_sentences_of_their_own() -> None:
    later = replace(WON, placement="home_trending", variant="hybrid_margin", day=12.0, boundary=2.5)

    claims = may_claim(stands(later, WON))

    assert [claim.split(" is better")[0] for claim in claims[:2]] == ["hybrid", "hybrid_margin"]
    assert "(z of 2.50 to 2.60, depending on the day)" in claims[2]


@pytest.mark.parametrize("z", [None, 2.5])
def test_a_variant_that_ships_without_passing_the_boundary_is_not_called_better(z: float | None) -> None:
    assert not says(may_claim(stands(replace(WON, z=z))), "is better")


def test_what_a_person_decided_is_not_called_better_and_is_named() -> None:
    found = stands(BY_HAND)

    assert not says(may_claim(found), "is better")
    assert says(may_not_claim(found), "That what serves category_top is better: it was put there by hand.")
    assert headline(found) == "Of 5 placements, hybrid_margin serves 1, 4 are still undecided."


def test_under_optimise_only_the_expected_loss_is_stated() -> None:
    found = designed(stands(WON), rule="optimise")

    assert may_claim(found) == [
        "hybrid serves home_hero since day 9: choosing it costs an expected 0.04 % of clicks, "
        "below the registered 0.25 %."
    ]
    assert says(may_not_claim(found), "That any variant is better than the control")


def test_a_kept_control_is_no_proof_that_variants_are_equal() -> None:
    found = stands(KEPT)

    assert says(may_claim(found), "cohorts stays in order_next: no variant passed the boundary by day 16")
    assert says(may_not_claim(found), "That variants are equal in order_next and home_hero")
    assert says(may_not_claim(found), "a lift below about +6.2 % is under what the test can see")


def test_everything_is_withheld_where_the_split_is_off() -> None:
    found = replace(stands(WON), split=OFF)

    assert may_claim(found) == []
    assert headline(found).startswith("Withheld")
    assert says(may_not_claim(found), "sample-ratio mismatch, p = 1e-18")


def test_nothing_is_claimed_without_a_click() -> None:
    found = replace(FOUND, clicks=0)

    assert may_claim(found) == []
    assert headline(found) == "No click yet in 120,000 exposures: nothing can be compared."
    assert says(may_not_claim(found), "no click has been counted yet")


def test_the_estimate_tells_the_lift_so_far_from_the_one_that_is_to_last() -> None:
    estimate = so_far(FOUND)[0]

    assert "is estimated +10.0 % (95 % posterior interval +5.0 % to +15.0 %) against cohorts" in estimate
    assert "to last, without first days and weekdays, is estimated +8.0 % (95 % posterior interval +2.0 %" in estimate
    assert "to last" not in so_far(designed(FOUND, standardised=False))[0]
    assert may_claim(FOUND) == []


def test_an_open_test_has_no_winner_and_names_its_next_look() -> None:
    assert headline(FOUND) == "Undecided on day 9: the next look is on day 10."
    assert says(
        may_not_claim(FOUND), "won or lost in all 5 placements: no look has decided yet (the next is on day 10)"
    )


def test_a_design_without_a_boundary_can_never_claim_and_says_so() -> None:
    found = replace(FOUND, has_boundary=False)

    assert headline(found) == (
        "Undecided on day 9, and bound to stay so: no boundary is calibrated for 5 placements and 3 variants."
    )
    assert says(may_not_claim(found), "no stopping boundary has been calibrated")


def test_too_small_to_decide_is_said() -> None:
    found = replace(FOUND, is_too_small=True)

    assert "too small to decide" in headline(found)
    assert says(may_not_claim(found), "too small to decide")


def test_simulated_visits_say_nothing_about_real_shoppers() -> None:
    found = replace(FOUND, is_simulated=True)

    assert headline(found).startswith("Simulated shoppers. ")
    assert may_not_claim(found)[0] == "Anything about real shoppers: these visits were simulated."


def test_the_hold_out_speaks_for_the_whole_experiment() -> None:
    lift = {"lift_median": 0.05, "lift_low": -0.01, "lift_high": 0.11}

    claim = so_far(replace(FOUND, holdout_lift=lift))[-1]

    assert "outside of the hold-out click +5.0 % against held-out visitors (95 % interval -1.0 % to +11.0 %" in claim


@pytest.mark.parametrize(("status", "words"), [("paused", "Paused. "), ("promoted", "Promoted. "), ("running", "Und")])
def test_the_headline_begins_with_the_state_of_the_experiment(status: str, words: str) -> None:
    assert headline(replace(FOUND, config=replace(CONFIG, status=status))).startswith(words)


CANARY = replace(
    FOUND, config=replace(CONFIG, mode="canary", variants=("hybrid", "canary"), bundle_id="b_2", loss_limit=0.1)
)
STATES = {
    "watching": "stays at its share",
    "rising": "gets more traffic",
    "ready": "may be promoted",
    "off": "taken off",
}


def steered(state: str) -> Findings:
    looked = {"state": state, "lift": (0.01, -0.06, 0.08), "loss_limit": 0.1, "probability_of_loss": 0.0312}
    return replace(CANARY, canary=looked)


@pytest.mark.parametrize("state", STATES)
def test_a_canary_is_told_by_its_loss_and_never_called_better(state: str) -> None:
    found = steered(state)

    assert STATES[state] in headline(found)
    assert may_claim(found) == []
    assert so_far(found) == [
        "The probability that canary loses more than 10 % of the clicks against hybrid is 3.1 %; its click rate is "
        "estimated +1.0 % (95 % posterior interval -6.0 % to +8.0 %), whole pages and repeat visits accounted for."
    ]
    sentences = may_not_claim(found)
    assert says(sentences, "That the new bundle is better")
    assert says(sentences, "a loss below 10 % may pass")
    assert not says(sentences, "no look has decided")


def test_a_canary_before_its_first_look_says_nothing() -> None:
    assert headline(CANARY) == "The canary has begun: no epoch has ended yet."
    assert may_claim(CANARY) == []


UNSURE = replace(WON, lift=(0.006, -0.002, 0.014))  # passed the boundary, and the interval that is shown holds zero


def test_better_is_never_printed_beside_an_interval_that_holds_zero() -> None:
    found = stands(UNSURE, replace(WON, placement="home_trending"))

    assert [sentence for sentence in may_claim(found) if "is better than" in sentence] == [
        "hybrid is better than cohorts in home_trending (+9.8 %, 95 % interval +5.1 % to +14.7 %); decided on day 9."
    ]
    assert may_claim(stands(UNSURE)) == []
    assert says(may_not_claim(found), "shipped in home_hero is better: its evidence passed the boundary, and the 95 %")


@given(st.floats(-0.3, 0.3), st.floats(0.0, 0.3), st.floats(0, 6), st.floats(0.5, 4))
def test_whatever_was_decided_better_stands_beside_an_interval_above_zero(
    middle: float, half: float, z: float, boundary: float
) -> None:
    lift = (middle, middle - half, middle + half)
    claims = may_claim(stands(replace(WON, lift=lift, z=z, boundary=boundary)))

    assert any("is better than" in claim for claim in claims) == (
        z >= boundary and not percent(lift[1]).startswith(("-", "+0.0 "))
    )


def test_a_lift_of_fewer_clicks_than_registered_is_told_nowhere() -> None:
    found = replace(FOUND, clicks=15, shown=[True, False, True])

    assert not says(so_far(found), "the click rate of hybrid is estimated")
    assert says(so_far(found), "the click rate of hybrid_margin is estimated")
    assert says(may_not_claim(found), "has fewer than 20 clicks")
