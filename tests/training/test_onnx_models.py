"""A training whose loss is not a number stops and says where."""

from __future__ import annotations

import math

import pytest

from training_jobs.onnx_models import TrainingFailed, require_finite


def test_a_finite_loss_passes_through() -> None:
    assert require_finite(1.5, batch="3 of 10") == 1.5


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_names_its_batch(loss: float) -> None:
    with pytest.raises(TrainingFailed, match="batch 3 of 10: the loss is"):
        require_finite(loss, batch="3 of 10")
