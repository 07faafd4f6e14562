"""What an items file says of each item, as one vector: its text by the content job's encoder, its attributes by SVD.

Text columns (`title`, `category`, `brand`, `description`) become one text, as the content job makes it of the
catalogue. Columns of lists, such as `attributes`, and other short columns become an item x value matrix, whose
leading singular vectors stand beside the text's. Letters: I items, V values, C width.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
from recommender.domain.arrays import Floats

from training_jobs.content_bert.data import CatalogueTexts, item_text
from training_jobs.content_bert.model import load_pretrained
from training_jobs.content_bert.train import Settings, encode_catalogue

TEXT = ("title", "category", "brand", "description")
VALUES = ("category", "brand")  # text columns that also name a value
ATTRIBUTE_WIDTH = 64
ITERATIONS = 4
OVERSAMPLING = 16


def content_vectors(items: pl.DataFrame, cache: Path | None) -> Floats | None:
    """(I, C) unit vectors, zero where the file says nothing; None where it says nothing of any item."""
    parts = [part for part in (_text_vectors(items, cache), _attribute_vectors(items)) if part is not None]
    if not parts:
        return None
    joined = np.concatenate(parts, axis=1)
    unit: Floats = (joined / np.maximum(np.linalg.norm(joined, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return unit


def _text_vectors(items: pl.DataFrame, cache: Path | None) -> Floats | None:
    columns = [
        items[name].cast(pl.String).fill_null("").to_list() if name in items.columns else [""] * items.height
        for name in TEXT
    ]
    texts = [item_text(*row) for row in zip(*columns, strict=True)]
    if not any(texts):
        return None
    place: dict[str, int] = {}
    rows = np.array([place.setdefault(text, len(place)) for text in texts], np.int32)
    distinct = CatalogueTexts(tuple(place), rows, tuple(columns[0]))
    vectors = _encoded(distinct, cache)[rows]
    vectors[[not text for text in texts]] = 0.0
    return vectors


def _encoded(texts: CatalogueTexts, cache: Path | None) -> Floats:
    """(T, C) by the pretrained encoder; kept in `cache` for the next run."""
    digest = hashlib.sha256("\n".join(texts.texts).encode()).hexdigest()[:16]
    path = None if cache is None else cache / f"content-{digest}.npy"
    if path is not None and path.is_file():
        kept: Floats = np.load(path)
        return kept
    with tempfile.TemporaryDirectory() as folder:
        vectors = encode_catalogue(load_pretrained(), texts, Settings(), Path(folder)).vectors
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors)
    return vectors


def _attribute_vectors(items: pl.DataFrame) -> Floats | None:
    """(I, C) the leading singular vectors of the item x value matrix, values weighted by their rarity."""
    matrix = _values(items)
    if matrix is None:
        return None
    rarity = np.log(matrix.shape[0] / np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1.0))
    weighted = matrix @ sp.diags(rarity)
    width = min(ATTRIBUTE_WIDTH, min(weighted.shape))
    basis = np.random.default_rng(0).normal(size=(weighted.shape[1], min(width + OVERSAMPLING, *weighted.shape)))
    for _ in range(ITERATIONS):  # subspace iteration, as the towers' start
        basis, _ = np.linalg.qr(weighted.T @ (weighted @ basis))
    left, values, _ = np.linalg.svd(weighted @ basis, full_matrices=False)
    vectors = (left * values)[:, :width]
    unit: Floats = (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return unit


def _values(items: pl.DataFrame) -> sp.csr_matrix | None:
    """(I, V) which item has which value of which column; values of a single item say nothing and are left out."""
    cells = [_cells(items, name) for name in items.columns if _names_values(items, name)]
    cells = [frame for frame in cells if frame.height]
    if not cells:
        return None
    frame = pl.concat(cells).unique(maintain_order=True)
    shared = frame.filter(pl.len().over("value") > 1)
    if not shared.height:
        return None
    value = shared["value"].rank("dense").to_numpy().astype(np.int64) - 1
    shape = (items.height, int(value.max()) + 1)
    return sp.csr_matrix((np.ones(shared.height), (shared["row"].to_numpy(), value)), shape=shape)


def _names_values(items: pl.DataFrame, name: str) -> bool:
    return isinstance(items.schema[name], pl.List | pl.Array) or name in VALUES


def _cells(items: pl.DataFrame, name: str) -> pl.DataFrame:
    """`row` and `value` of one column, the column's name before each value."""
    frame = items.select(pl.int_range(pl.len()).alias("row"), pl.col(name).alias("value"))
    if isinstance(items.schema[name], pl.List | pl.Array):
        frame = frame.explode("value")
    named = pl.lit(f"{name}=") + pl.col("value").cast(pl.String)
    return frame.drop_nulls().select("row", named.alias("value"))
