"""The boundary of a design comes from null experiments: seeded, higher for more placements, refused from too few."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recommender.domain.experiments.evidence.calibration import Calibration, calibrate
from recommender.domain.experiments.running.design import Design
from recommender.errors import InvalidInput

DESIGN = replace(Design(), boundary=0.0)
LEAST = round(2 / DESIGN.error_share)


def calibrated(experiments: int = 2 * LEAST, seed: int = 3) -> Calibration:
    return calibrate(DESIGN, placements=2, variants=2, experiments=experiments, seed=seed)


def test_the_boundary_is_that_of_repeated_looks_and_not_of_one() -> None:
    found = calibrated()

    assert 1.9 < found.boundary < 4.0  # one look at 2 % would take 2.05
    assert 0 < found.standard_error < 0.6
    assert (found.experiments, found.seed) == (2 * LEAST, 3)


def test_a_seed_gives_the_same_constant_and_another_seed_another() -> None:
    assert calibrated() == calibrated()
    assert calibrated().boundary != calibrated(seed=4).boundary


def test_progress_counts_the_finished_ones_to_the_end() -> None:
    done: list[int] = []
    calibrate(DESIGN, placements=1, variants=2, experiments=250, progress=done.append)

    assert done == [200, 250]


def test_too_few_experiments_for_the_error_are_refused_with_the_number_needed() -> None:
    with pytest.raises(InvalidInput) as refused:
        calibrated(LEAST - 1)

    (wrong,) = refused.value.problems
    assert (wrong.pointer, wrong.value) == ("/experiments", str(LEAST - 1))
    assert f"at least {LEAST}" in wrong.expected
