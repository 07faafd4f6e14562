"""A loss that is not a number ends the training at once: what comes after it would be published noise."""

from __future__ import annotations

import math
from typing import ClassVar

from recommender.errors import RecommenderError


class TrainingFailed(RecommenderError):
    """Training cannot go on."""

    title: ClassVar[str] = "Training failed"
    default_code: ClassVar[str] = "training_failed"


def require_finite(loss: float, *, batch: str) -> float:
    """The loss itself. Raises TrainingFailed naming the batch where it is NaN or infinite."""
    if not math.isfinite(loss):
        raise TrainingFailed(f"batch {batch}: the loss is {loss}, expected a finite number; nothing was written")
    return loss
