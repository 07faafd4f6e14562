"""Exports the encoder as ONNX: fp32 for parity with PyTorch, int8 for serving.

Dynamic int8 per channel with reduced range takes 1.1 ms a query on one thread against 3.9 ms in fp32; the per-tensor
default loses up to 10 % of cosine. The output is named `text_vec`, because a graph whose output is named `embedding`
collides with an inner value and does not load. Letters: T texts, C content width.

Decisions: docs/decisions/encoder.md (041).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from recommender.domain.models.arrays import Floats

from training_jobs.content_bert.model import EncodeBatch, TextEncoder, Tokens
from training_jobs.onnx_models import onnx_session

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "text_vec"
NEIGHBOURS = 10
NEIGHBOUR_OVERLAP = "overlap@10"


def export_onnx(encoder: TextEncoder, path: Path) -> None:
    """Write the fp32 graph with free batch and length."""
    example = (torch.tensor([[101, 7592, 102], [101, 2088, 102]]), torch.ones(2, 3, dtype=torch.int64))
    batch, length = torch.export.Dim("batch", min=1, max=4096), torch.export.Dim("length", min=2, max=512)
    with _quiet():
        torch.onnx.export(
            encoder.eval(),
            example,
            str(path),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_shapes={name: {0: batch, 1: length} for name in INPUTS},
            opset_version=20,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def quantize(source: Path, target: Path) -> None:
    """Write the int8 graph of the fp32 one."""
    with _quiet():
        quantize_dynamic(source, target, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings of the exporter and the quantiser about their own internals, and keep their errors."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def run_onnx(path: Path) -> EncodeBatch:
    """An ONNX encoder as a function of arrays, on one thread."""
    session = onnx_session(path)

    def run(input_ids: Tokens, mask: Tokens) -> Floats:
        vectors: Floats = session.run([OUTPUT], dict(zip(INPUTS, (input_ids, mask), strict=True)))[0]
        return vectors

    return run


def agreement(exact: Floats, approximate: Floats) -> dict[str, float]:
    """Mean and least cosine of approximate unit vectors (T, C) with exact ones by row, and their neighbour overlap."""
    cosine = (exact * approximate).sum(1)
    return {
        "cosine_mean": round(float(cosine.mean()), 5),
        "cosine_min": round(float(cosine.min()), 5),
        **neighbour_overlap(exact, approximate),
    }


def neighbour_overlap(exact: Floats, approximate: Floats) -> dict[str, float]:
    """Mean share of each row's nearest neighbours that both spaces, (T, C) each, have in common; widths may differ."""
    count = min(NEIGHBOURS, len(exact) - 1)
    if count < 1:
        return {NEIGHBOUR_OVERLAP: 1.0}
    best, found = _nearest(exact, count), _nearest(approximate, count)
    overlap = np.mean([len(set(a) & set(b)) / count for a, b in zip(best, found, strict=True)])
    return {NEIGHBOUR_OVERLAP: round(float(overlap), 4)}


def _nearest(vectors: Floats, count: int) -> list[list[int]]:
    scores = vectors @ vectors.T  # (T, T)
    np.fill_diagonal(scores, -np.inf)
    nearest: list[list[int]] = np.argpartition(-scores, count - 1, axis=1)[:, :count].tolist()
    return nearest
