"""What is printed of simulated days, and what is said where no shop runs."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from local.shoppers import progress as telling
from local.shoppers.__main__ import main


def report(*statuses: str) -> dict[str, Any]:
    """Two variants; one placement for each status."""
    arms = [
        {"variant": "cohorts", "weight": 0.25, "probability_best": 0.1},
        {"variant": "hybrid", "weight": 0.75, "probability_best": 0.9},
    ]
    return {
        "variants": ["cohorts", "hybrid"],
        "placements": [{"placement": f"p{n}", "variants": arms} for n in range(len(statuses))],
        "decision": {
            "rule": "claim",
            "placements": {
                f"p{n}": {
                    "status": status,
                    "variant": "hybrid" if status == "ship" else None,
                    "killed": "hybrid" if status == "killed" else None,
                    "day": 9.02,
                }
                for n, status in enumerate(statuses)
            },
        },
        "may_claim": ["It was simulated."],
        "so_far": ["Not yet."],
        "may_not_claim": ["All else."],
    }


def test_a_row_says_what_the_day_brought() -> None:
    row = telling.row(3, 1200, 30, report("ship", "undecided"))

    assert row == ("3", "1,200", "30", "cohorts 0.25 hybrid 0.75", "cohorts 0.10 hybrid 0.90", "1 of 2")
    assert telling.table([row]).splitlines()[1].split()[:3] == ["3", "1,200", "30"]


def test_it_is_over_when_every_placement_is_decided() -> None:
    assert not telling.is_decided(report("ship", "undecided"))
    assert telling.is_decided(report("ship", "keep_control"))
    assert telling.is_shipped(report("ship", "undecided"))
    assert not telling.is_shipped(report("keep_control", "undecided"))


def test_the_closing_words_name_each_decision_and_what_may_be_claimed() -> None:
    words = telling.closing(report("ship", "keep_control", "killed", "undecided"))

    assert "Decided (simulated):\n  p0: ship hybrid, day 9\n  p1: keep the control, day 9\n" in words
    assert "\n  p2: hybrid was killed, the control serves, day 9\n\n" in words
    assert "the control keeps as much traffic as the best challenger" in words
    assert "of these simulated days:\n  - It was simulated." in words
    assert "estimates that claim nothing (simulated):\n  - Not yet." in words
    assert "may not be claimed:\n  - All else." in words


@pytest.mark.parametrize("wrong", ["0", "-1", "26", "many"])
def test_a_scale_that_cannot_be_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--click-scale", wrong])

    assert "--click-scale" in capsys.readouterr().err


def test_where_no_shop_runs_one_sentence_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]

    status = main(["--port", str(free)])

    assert status == 1
    assert f"No shop answers on port {free}: start one with `make run`" in capsys.readouterr().err
