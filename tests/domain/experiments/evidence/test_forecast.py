"""The forecast agrees with the simulations of the specification, says "too small" where it is, and never changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recommender.domain.experiments.evidence.forecast import (
    LIFTS,
    LiftForecast,
    Traffic,
    answer,
    constant_of,
    forecast,
    forecast_of,
)
from recommender.domain.experiments.evidence.simulation import Truth, simulate
from recommender.domain.experiments.running.design import Design

CLICKS = 17_118 * 0.018  # a day and placement: +10 % in 28 days by the textbook, four variants
WEEKLY = Design(looks="week", standardised=False, maturation_days=2)
ALONE = Design(standardised=False, maturation_days=2, boundary=2.49)  # calibrated for one placement, four variants


def shop(*, placements: int = 12, share: float = 1.0, design_effect: float = 1.0) -> Traffic:
    return Traffic({f"p{n}": CLICKS * share for n in range(placements)}, design_effect)


def of(design: Design, lift: float, traffic: Traffic) -> LiftForecast:
    return forecast(traffic, design, variants=4, lifts=(lift,), replicates=120)[0]


def test_whole_week_looks_ship_ten_percent_on_day_nine() -> None:
    found = of(WEEKLY, 0.10, shop())

    assert found.median_days == 9
    assert found.shipped_by[9] == pytest.approx(0.92, abs=0.05)


@pytest.mark.parametrize(("lift", "power"), [(0.05, 0.76), (0.075, 0.96), (0.10, 1.0)])
def test_a_time_box_of_ten_days_has_the_power_of_the_specification(lift: float, power: float) -> None:
    design = Design(standardised=False, maturation_days=2, time_box_days=10, boundary=1.608)

    assert of(design, lift, shop()).power == pytest.approx(power, abs=0.08)


@pytest.mark.parametrize(("share", "median"), [(0.25, 16), (0.125, 23)])
def test_less_traffic_takes_longer(share: float, median: int) -> None:
    """The specification has 14 and 19 days by daily looks: the next whole weeks."""
    assert of(WEEKLY, 0.10, shop(share=share)).median_days == median


def test_a_design_effect_is_traffic_that_is_not_there() -> None:
    assert of(WEEKLY, 0.10, shop(design_effect=4.0)) == of(WEEKLY, 0.10, shop(share=0.25))


def test_one_placement_alone_takes_eighteen_days_for_ten_percent() -> None:
    found = of(ALONE, 0.10, shop(placements=1))

    assert found.median_days is not None
    assert abs(found.median_days - 18) <= 3
    assert found.power == pytest.approx(0.89, abs=0.12)


def test_the_forecast_agrees_with_a_full_simulation_of_the_same_design() -> None:
    lifts = np.zeros((200, 1, 2))
    lifts[:, :, 1] = 0.10
    constant, is_calibrated = constant_of(Design(), placements=1, variants=2)
    course = simulate(
        Truth(lifts, 17_118, 0.018), Design(), constant=constant, rng=np.random.default_rng(3), horizon=28
    )

    found = forecast(shop(placements=1), Design(), variants=2, lifts=(0.10,))[0]

    assert is_calibrated
    for day in (14, 21, 28):
        simulated = ((course.choice == 1) & (course.day <= day)).mean()
        assert found.shipped_by[day] == pytest.approx(simulated, abs=0.1)


def test_power_grows_with_lift_time_and_traffic() -> None:
    found = forecast(shop(), WEEKLY, variants=4, replicates=60)

    assert [one.power for one in found] == sorted(one.power for one in found)
    for one in found:
        assert list(one.shipped_by.values()) == sorted(one.shipped_by.values())
    assert of(WEEKLY, 0.05, shop(share=0.25)).power < of(WEEKLY, 0.05, shop()).power


def test_the_same_question_has_the_same_answer() -> None:
    assert forecast_of(shop(), WEEKLY, variants=4, replicates=20) == forecast_of(
        shop(), WEEKLY, variants=4, replicates=20
    )


def test_the_rule_optimise_decides_sooner_than_the_rule_claim() -> None:
    optimise = Design(rule="optimise", looks="week", standardised=False, maturation_days=2, allocation="thompson")

    assert of(optimise, 0.05, shop()).shipped_by[9] > of(WEEKLY, 0.05, shop()).shipped_by[9]


def test_standardising_the_calendar_costs_some_days() -> None:
    plain, standard = Design(standardised=False), Design(standardised=True, boundary=constant_for_plain())

    assert of(standard, 0.075, shop()).shipped_by[8] < of(plain, 0.075, shop()).shipped_by[8]


def constant_for_plain() -> float:
    return constant_of(Design(standardised=False), placements=12, variants=4)[0]


def test_a_constant_that_nobody_calibrated_errs_on_the_safe_side() -> None:
    odd = Design(error_share=0.01, first_look_day=11)
    registered = constant_of(Design(boundary=2.5), placements=3, variants=2)

    assert registered == (2.5, True)
    constants = [
        constant_of(odd, placements=placements, variants=variants)[0]
        for placements, variants in ((12, 3), (12, 6), (4, 6), (1, 6))
    ]
    assert constants == sorted(constants)
    assert not constant_of(odd, placements=12, variants=4)[1]


def curve(*powers: float) -> list[LiftForecast]:
    return [LiftForecast(lift, {9: power / 2, 28: power}) for lift, power in zip(LIFTS, powers, strict=True)]


@pytest.mark.parametrize(
    ("powers", "verdict", "words"),
    [
        ((0.9, 1.0, 1.0), "enough", "Enough traffic: a lift of +5 % is shipped by day 28 in 90%"),
        ((0.3, 0.85, 1.0), "large_lifts_only", "Enough traffic for lifts from +7.5 % on"),
        ((0.1, 0.2, 0.4), "too_small", "Too small to decide: even a lift of +10 % would be shipped by day 28"),
    ],
)
def test_the_answer_is_honest(powers: tuple[float, float, float], verdict: str, words: str) -> None:
    found, sentence = answer(curve(*powers), WEEKLY)

    assert found == verdict
    assert sentence.startswith(words)


def test_a_shop_of_a_hundred_exposures_a_day_is_told_that_it_is_too_small() -> None:
    tiny = Traffic({"home_hero": 100 * 0.018})

    found = forecast_of(tiny, WEEKLY, variants=4, replicates=40)

    assert found["verdict"] == "too_small"
    assert found["expected_days"] == {"+5 %": None, "+7.5 %": None, "+10 %": None}


def test_a_design_whose_clicks_mature_at_once_has_a_forecast() -> None:
    design = replace(Design(), first_look_day=1, maturation_days=0, max_days=6, boundary=1.5)

    found = forecast_of(Traffic({"home_hero": 100.0}), design, variants=3, replicates=20)

    assert found["verdict"]
