"""The content job: tune the encoder on the catalogue, encode every distinct text, export the query encoder.

Writes query_encoder.onnx (int8), tokenizer.json, content_vectors.npy (T, C), content_rows.npy (I,),
item_ids.npy (I,) and lexical.npz, the word index that answers queries together with the encoder. Items
are encoded by the int8 graph that also answers queries: less than half the time of fp32 and the same
errors on both sides. The projection to C is the uncentred PCA of a sample.

Decisions: docs/decisions/encoder.md (040).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recommender.contracts.artifacts import CONTENT_VECTORS, ITEM_IDS, LEXICAL, QUERY_ENCODER, TOKENIZER
from recommender.domain.models.arrays import Floats, to_npz
from recommender.errors import ArtifactRefused

from training_jobs.content_bert.data import CatalogueTexts, catalogue_fields, catalogue_texts, training_pairs
from training_jobs.content_bert.export import (
    NEIGHBOUR_OVERLAP,
    agreement,
    export_onnx,
    neighbour_overlap,
    quantize,
    run_onnx,
)
from training_jobs.content_bert.lexical import build_index
from training_jobs.content_bert.model import (
    EncodeBatch,
    TextModel,
    encode_texts,
    encode_with,
    load_pretrained,
    padded,
    run_torch,
    tokenize,
)
from training_jobs.content_bert.tune import TuneSettings, fine_tune
from training_jobs.environment import CONTENT_ROWS, JobEnvironment
from training_jobs.exports import DATA_HASH, exports_of
from training_jobs.onnx_models import assert_parity


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyperparameters. `content_width` 0 keeps the encoder's own width."""

    holdout_days: int = 28
    seed: int = 7
    max_pairs: int = 6000
    max_seconds: float = 90.0
    max_tokens: int = 64  # of an item; texts are padded to their batch, so short ones cost nothing
    content_width: int = 128
    sample_texts: int = 1200  # for the projection and for the agreement figures
    item_precision: str = "int8"  # or fp32


@dataclass(frozen=True, slots=True)
class ContentModel:
    """The vectors and metrics of the job, before they are written."""

    vectors: Floats  # (T, C)
    metrics: dict[str, Any]


def main(environment: JobEnvironment) -> None:
    """Run the job."""
    settings = environment.settings(Settings)
    exports = exports_of(environment)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.manual_seed(settings.seed)
    started = time.monotonic()
    model, texts = load_pretrained(), catalogue_texts(exports)
    until = exports.data_until - timedelta(days=settings.holdout_days)
    rng = np.random.default_rng(settings.seed)
    pairs = training_pairs(exports, texts, until=until, max_pairs=settings.max_pairs, rng=rng)
    limits = TuneSettings(max_pairs=settings.max_pairs, max_seconds=settings.max_seconds)
    tuning = fine_tune(model, pairs, limits)
    made = encode_catalogue(model, texts, settings, environment.model_dir)
    np.save(environment.model_dir / CONTENT_VECTORS, made.vectors)
    np.save(environment.model_dir / CONTENT_ROWS, texts.rows)
    np.save(environment.model_dir / ITEM_IDS, exports.item_ids)
    (environment.model_dir / LEXICAL).write_bytes(to_npz(build_index(catalogue_fields(exports))))
    metrics = {
        DATA_HASH: exports.data_hash,
        "items": len(texts.rows),
        "texts": len(texts.texts),
        "fine_tuning": tuning,
        **made.metrics,
        "seconds": round(time.monotonic() - started, 1),
    }
    environment.write_metrics(metrics)


def encode_catalogue(model: TextModel, texts: CatalogueTexts, settings: Settings, folder: Path) -> ContentModel:
    """Project, export, quantise, and encode all texts; writes the encoder and the tokenizer into `folder`."""
    if not texts.texts:
        raise ArtifactRefused("the catalogue has 0 items, expected at least one to encode")
    rng = np.random.default_rng(settings.seed)
    chosen = rng.permutation(len(texts.texts))[: settings.sample_texts]
    sample = [texts.texts[row] for row in chosen]
    wide = encode_texts(model, sample, max_tokens=settings.max_tokens, label="sample")  # (S, 384)
    narrow, projection = _project(model, wide, settings.content_width)
    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch) / "encoder.onnx"
        export_onnx(model.encoder, exact)
        quantize(exact, folder / QUERY_ENCODER)
        run_exact, run_int8 = run_onnx(exact), run_onnx(folder / QUERY_ENCODER)
        parity = _parity(model, run_exact, sample[:8], settings.max_tokens)
        run = run_exact if settings.item_precision == "fp32" else run_int8
        vectors = encode_with(
            run, model.tokenizer, texts.texts, max_tokens=settings.max_tokens, batch_size=32, label="encode items"
        )
        one_by_one = encode_with(run_int8, model.tokenizer, sample, max_tokens=settings.max_tokens, batch_size=1)
    _write_tokenizer(model, settings.max_tokens, folder / TOKENIZER)
    int8 = agreement(narrow, one_by_one)
    metrics = {
        "onnx_parity": {QUERY_ENCODER: {"max_abs_difference": parity, "rank_agreement": int8[NEIGHBOUR_OVERLAP]}},
        "int8": int8,
        "projection": projection,
        "item_precision": settings.item_precision,
    }
    return ContentModel(vectors, metrics)


def pretrained_vectors(texts: CatalogueTexts, settings: Settings, cache: Path | None = None) -> Floats:
    """(T, C) vectors of the texts by the pretrained encoder, untuned; kept in the folder `cache` for the next run."""
    digest = hashlib.sha256("\n".join((str(settings), *texts.texts)).encode()).hexdigest()[:16]
    path = None if cache is None else cache / f"content-{digest}.npy"
    if path is not None and path.is_file():
        kept: Floats = np.load(path)
        return kept
    with tempfile.TemporaryDirectory() as folder:
        vectors = encode_catalogue(load_pretrained(), texts, settings, Path(folder)).vectors
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors)
    return vectors


def _project(model: TextModel, wide: Floats, width: int) -> tuple[Floats, dict[str, Any]]:
    """Give the model an output of `width`; returns the sample's new vectors (S, C) and the loss by the cut."""
    if not 0 < width < min(wide.shape):  # as few texts as that span less than `width`
        return wide, {"width": wide.shape[1]}
    _, singular, axes = np.linalg.svd(wide, full_matrices=False)  # (S, r) (r,) (r, 384)
    basis = np.ascontiguousarray(axes[:width].T, np.float32)  # (384, C)
    model.encoder.project(basis)
    narrow = wide @ basis
    narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
    kept = float((singular[:width] ** 2).sum() / (singular**2).sum())
    return narrow, {"width": basis.shape[1], "energy_kept": round(kept, 4), **neighbour_overlap(wide, narrow)}


def _parity(model: TextModel, run: EncodeBatch, texts: list[str], max_tokens: int) -> float:
    input_ids, mask = padded(tokenize(model.tokenizer, texts, max_tokens))
    return assert_parity(
        {"text_vec": run_torch(model.encoder)(input_ids, mask)},
        {"text_vec": run(input_ids, mask)},
        name=QUERY_ENCODER + " in fp32",
    )


def _write_tokenizer(model: TextModel, max_tokens: int, path: Path) -> None:
    """Write the tokenizer with the truncation of the job, so that serving cuts texts at the same length."""
    model.tokenizer.enable_truncation(max_tokens)
    model.tokenizer.save(str(path), pretty=False)


if __name__ == "__main__":
    main(JobEnvironment.from_environment(os.environ))
