"""A design says when a decision may fall; one that never could is refused."""

from __future__ import annotations

import pytest
from recommender.domain.experiments.running.design import Design, design_from_json, design_to_json
from recommender.errors import InvalidInput


def test_whole_weeks_of_data_are_looked_at_two_days_after_they_end() -> None:
    weekly = Design(looks="week", maturation_days=2)
    assert weekly.look_days == (7 + 2, 14 + 2, 21 + 2, 28)  # the last day is always a look


def test_daily_looks_begin_when_the_first_seven_days_have_matured() -> None:
    assert Design(max_days=11).look_days == (8, 9, 10, 11)  # one day to mature


def test_days_left_out_for_novelty_come_on_top() -> None:
    assert Design(drop_days=4).look_days[0] == 7 + 1 + 4


def test_a_time_box_is_a_single_look() -> None:
    assert Design(time_box_days=10).look_days == (10,)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"rule": "hope"}, "/design/rule"),
        ({"looks": "hour"}, "/design/looks"),
        ({"allocation": "all"}, "/design/allocation"),
        ({"first_look_day": 0}, "/design/first_look_day"),
        ({"max_days": 7}, "/design/max_days"),
        ({"drop_days": -1}, "/design/drop_days"),
        ({"error_share": 0.5}, "/design/error_share"),
        ({"alpha": 0.05}, "/design/alpha"),
    ],
)
def test_a_design_that_could_never_decide_is_refused_by_its_field(changes: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        design_from_json({**design_to_json(Design()), **changes})
    assert refused.value.problems[0].pointer == pointer
