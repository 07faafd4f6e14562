"""PyTorch modules as ONNX files and as functions of arrays, and the checks that stop a job before it writes a model.

A model is a function from named arrays to named arrays, whichever library runs it. Every exporting job compares the
ONNX file with its PyTorch source, and a training stops at the first loss that is not a number.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from recommender.domain.models.bundle import Model
from recommender.errors import Conflict, RecommenderError
from torch import Tensor, nn

TOLERANCE = 1e-4


def onnx_bytes(
    module: nn.Module,
    example: tuple[Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    free: Mapping[str, Mapping[int, Any]],
) -> bytes:
    """The ONNX file of a module; `free` names the dimensions of each input that may vary."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports optional packages that are not installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecated parts
        program = torch.onnx.export(
            module.eval(),
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: dict(dimensions) for name, dimensions in free.items()},
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # the exporter raises where it cannot
    content: bytes = program.model_proto.SerializeToString()
    return content


def torch_function(module: nn.Module, *, inputs: Sequence[str], outputs: Sequence[str]) -> Model:
    """The module as a function of named arrays, as an ONNX session is."""
    module.eval()

    def run(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        with torch.inference_mode():
            found = module(*(torch.from_numpy(feed[name]) for name in inputs))
        tensors = found if isinstance(found, tuple) else (found,)
        return {name: tensor.numpy() for name, tensor in zip(outputs, tensors, strict=True)}

    return run


def onnx_function(content: bytes) -> Model:
    """The ONNX file as a function of named arrays."""
    run = onnx_session(content)
    names = [output.name for output in run.get_outputs()]
    return lambda feed: dict(zip(names, run.run(None, dict(feed)), strict=True))


def onnx_session(source: bytes | Path) -> onnxruntime.InferenceSession:
    """A session of an ONNX file on one thread, as serving runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = str(source) if isinstance(source, Path) else source
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def assert_parity(expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], *, name: str) -> float:
    """The largest absolute difference over all tensors, which may have any shape.

    Raises Conflict where a tensor is off or missing.
    """
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
        if not difference <= TOLERANCE:  # also refuses NaN
            raise Conflict(
                f"{name}: {tensor} differs by {difference:.3g}, expected at most {TOLERANCE:g}", code="onnx_parity"
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
