"""Checks that stop a job: a loss that is not a number, an ONNX file that differs from its source."""

from __future__ import annotations

import math

import numpy as np
import pytest
from recommender.errors import Conflict

from training_jobs.onnx_models import TrainingFailed, assert_parity, require_finite


def test_a_finite_loss_passes_through() -> None:
    assert require_finite(1.5, batch="3 of 10") == 1.5


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_names_its_batch(loss: float) -> None:
    with pytest.raises(TrainingFailed, match="batch 3 of 10: the loss is"):
        require_finite(loss, batch="3 of 10")


def test_parity_is_the_largest_difference_or_a_refusal() -> None:
    expected = {"v": np.array([1.0, 2.0], np.float32)}

    assert assert_parity(expected, {"v": np.array([1.0, 2.00005], np.float32)}, name="m") == pytest.approx(
        5e-5, rel=0.1
    )
    for other in (np.array([1.0, 2.001], np.float32), np.array([1.0, np.nan], np.float32)):
        with pytest.raises(Conflict, match="differs by"):
            assert_parity(expected, {"v": other}, name="m")
    with pytest.raises(Conflict, match="expected float32"):
        assert_parity(expected, {"v": np.array([1.0, 2.0])}, name="m")
    with pytest.raises(Conflict, match="no output v"):
        assert_parity(expected, {"w": expected["v"]}, name="m")
