"""The experiments command: the keys of the contract, reproducible figures, a textbook test like the textbook's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiments.__main__ import main, run
from benchmarks.experiments.methods import SCENARIOS, fixed_and_peeking

CONTRACT = (
    "median_days",
    "p90_days",
    "share_by_day_10",
    "correct",
    "ship",
    "ship_any",
    "harm",
    "clicks_lost",
    "exaggeration",
)


def test_the_door_prints_the_contract_and_leaves_a_page_with_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--scenarios", "lift_10,one_bad", "--experiments", "3", "--out", str(tmp_path)]) == 0

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["label"] == "simulated"
    for name in ("lift_10", "one_bad"):
        for method in ("fixed", "peeking", "per_slot_thompson", "pooled"):
            assert set(CONTRACT) <= set(result["scenarios"][name][method])
    assert "harm_there" in result["scenarios"]["one_bad"]["pooled"]
    page = (tmp_path / "report.html").read_text()
    assert "Simulated" in page
    assert (tmp_path / "decided_lift_10.png").stat().st_size > 5_000


def test_the_same_seed_gives_the_same_figures_whatever_runs_beside() -> None:
    alone = run(["time_box_5"], 2, 7)["scenarios"]["time_box_5"]["pooled"]
    beside = run(["null", "time_box_5"], 2, 7)["scenarios"]["time_box_5"]["pooled"]

    assert alone == beside


def test_the_textbook_test_has_its_nominal_power_and_peeking_its_false_winners() -> None:
    """Sized for 80 % power at +10 % (realised 78 % by the note's simulation); peeking at 1.96 ships in a quarter."""
    rng = np.random.default_rng(2)
    fixed, _ = fixed_and_peeking(SCENARIOS["lift_10"].truth(100, rng), rng)
    calm, hasty = fixed_and_peeking(SCENARIOS["null"].truth(100, rng), rng)

    assert (fixed.choice == 1).mean() == pytest.approx(0.78, abs=0.05)
    assert (calm.choice > 0).mean() == pytest.approx(0.021, abs=0.015)
    assert (hasty.choice > 0).mean() == pytest.approx(0.27, abs=0.06)


def test_scenarios_are_what_they_say() -> None:
    rng = np.random.default_rng(1)

    flipped, bad = SCENARIOS["flipped"].truth(1, rng).lifts[0], SCENARIOS["one_bad"].truth(1, rng).lifts[0]
    portfolio = SCENARIOS["portfolio"].truth(2_000, rng).lifts[..., 1:]

    assert flipped[0].tolist() == [0, 0.1, -0.1, 0]
    assert flipped[-1].tolist() == [0, -0.1, 0.1, 0]
    assert bad[:, 1].tolist() == [-0.1] + 11 * [0.1]
    assert portfolio.std() == pytest.approx(np.hypot(0.04, 0.02), rel=0.05)
    assert portfolio.mean(axis=1).std() == pytest.approx(np.hypot(0.04, 0.02 / np.sqrt(12)), rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--scenarios", "lift_11"], "lift_11"), (["--experiments", "0"], "0"), (["--calibrate", "hourly"], "hourly")],
)
def test_what_is_not_known_is_named_and_ends_with_two(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert named in capsys.readouterr().err
