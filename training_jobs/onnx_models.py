"""Does an ONNX file say what its PyTorch source says? Every exporting job asks before it writes.

A loss that is not a number ends the training at once: what comes after it would be published noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from recommender.errors import Conflict, RecommenderError

TOLERANCE = 1e-4


def assert_parity(
    expected: Mapping[str, NDArray[Any]],
    found: Mapping[str, NDArray[Any]],
    *,
    name: str,
    tolerance: float = TOLERANCE,
) -> float:
    """The largest absolute difference over all tensors. Raises Conflict where a tensor is off or missing."""
    worst = 0.0
    for tensor, values in expected.items():
        if tensor not in found:
            raise Conflict(f"{name} has no output {tensor}; it has {', '.join(found)}", code="onnx_parity")
        other = found[tensor]
        if values.shape != other.shape or values.dtype != other.dtype:
            raise Conflict(
                f"{name}: {tensor} is {other.dtype}{other.shape}, expected {values.dtype}{values.shape}",
                code="onnx_parity",
            )
        difference = float(np.max(np.abs(values.astype(np.float64) - other.astype(np.float64)), initial=0.0))
        if not difference <= tolerance:  # also refuses NaN
            raise Conflict(
                f"{name}: {tensor} differs by {difference:.3g}, expected at most {tolerance:g}", code="onnx_parity"
            )
        worst = max(worst, difference)
    return worst


class TrainingFailed(RecommenderError):
    """Training cannot go on."""

    title: ClassVar[str] = "Training failed"
    default_code: ClassVar[str] = "training_failed"


def require_finite(loss: float, *, batch: str) -> float:
    """The loss itself. Raises TrainingFailed naming the batch where it is NaN or infinite."""
    if not math.isfinite(loss):
        raise TrainingFailed(f"batch {batch}: the loss is {loss}, expected a finite number; nothing was written")
    return loss
