"""Sequences of users as rows, cut by leave-one-out, and the vectors of the items that an items file describes.

The last item of a sequence is the test, the one before it the validation. The catalogue is every item of the sequences
and of the items file; ids may be integers or text. Text columns (`title`, `category`, `brand`, `description`) become
one text, encoded by the content job. Columns of lists, such as `attributes`, and other short columns become an item x
value matrix, whose leading singular vectors stand beside the text's. Letters: U users, Q questions, I items, V values,
T texts, C width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.contracts.fields import problem
from recommender.domain.models.arrays import Counts, Floats, Rows

from benchmarks.tables import read_table
from training_jobs.content_bert.data import CatalogueTexts, item_text
from training_jobs.content_bert.train import Settings, pretrained_vectors
from training_jobs.counting.discovery import leading_directions

REPEATING = 0.01  # share of a user's later items that occurred before, from which on seen items may be listed
TEXT = ("title", "category", "brand", "description")
VALUES = ("category", "brand")  # text columns that also name a value
ATTRIBUTE_WIDTH = 64
ITERATIONS = 4


@dataclass(frozen=True, slots=True)
class Histories:
    """U histories of item rows in order of time."""

    offsets: Counts  # (U + 1,)
    items: Rows

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, user: int) -> Rows:
        """(L,) the items of a user."""
        items: Rows = self.items[self.offsets[user] : self.offsets[user + 1]]
        return items

    def without_last(self, count: int) -> Histories:
        """The same histories, each shorter by its last `count` items."""
        sizes = np.maximum(np.diff(self.offsets) - count, 0)
        kept = np.arange(len(self.items)) < np.repeat(self.offsets[:-1] + sizes, np.diff(self.offsets))
        return Histories(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), self.items[kept])

    @property
    def repeat_share(self) -> float:
        """Share of the items after a user's first that the user had before."""
        users = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        pairs = len(np.unique(users * (int(self.items.max(initial=0)) + 1) + self.items))
        later = len(self.items) - int((np.diff(self.offsets) > 0).sum())
        return (len(self.items) - pairs) / max(later, 1)


@dataclass(frozen=True, slots=True)
class Questions:
    """Users with a history and the item that came next."""

    users: NDArray[np.int64]  # (Q,)
    targets: NDArray[np.int64]  # (Q,)
    histories: Histories  # of all users, up to the question
    count_items: int  # I

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, slots=True)
class SequenceData:
    """The split, and the descriptions of the items."""

    train: Histories  # without the last two items, for all choices
    train_and_valid: Histories  # without the last, the known items of the test
    valid: Questions
    test: Questions
    item_ids: pl.Series  # (I,)
    items: pl.DataFrame | None  # (I,) rows in order of item_ids, null where the file lacks the item
    facts: dict[str, object]

    @property
    def count_items(self) -> int:
        """I."""
        return len(self.item_ids)


def load(data: Path, items: Path | None) -> SequenceData:
    """Read the files. Raises InvalidInput naming file and column."""
    frame = _sequences(data)
    described = None if items is None else _items(items, frame.schema["items"].inner)
    ids = frame["items"].explode().drop_nulls()
    catalogue = (ids if described is None else pl.concat([ids, described["item"]])).unique().sort()
    if not len(ids):
        raise problem(str(data), "no items", "at least one sequence of two items")
    whole = _rows(frame, catalogue)
    sizes = np.diff(whole.offsets)
    test = _questions(whole.without_last(1), whole, len(catalogue))
    if not len(test):
        raise problem(str(data), f"{len(sizes)} sequences of at most one item", "at least one sequence of two items")
    train = whole.without_last(2)
    return SequenceData(
        train=train,
        train_and_valid=whole.without_last(1),
        valid=_questions(train, whole.without_last(1), len(catalogue)),
        test=test,
        item_ids=catalogue,
        items=None if described is None else _aligned(described, catalogue),
        facts={
            "name": data.stem,
            "users": len(whole),
            "items": len(catalogue),
            "actions": len(whole.items),
            "questions": len(test),
            "described_items": 0 if described is None else described.height,
            "repeat_share": round(whole.without_last(1).repeat_share, 5),
            "cold_targets": int((~np.isin(test.targets, whole.without_last(1).items)).sum()),
        },
    )


def _sequences(path: Path) -> pl.DataFrame:
    frame = read_table(path)
    kind = frame.schema.get("items")
    if not isinstance(kind, pl.List | pl.Array) or not (kind.inner.is_integer() or kind.inner == pl.String):
        raise problem(f"{path}/items", str(kind), "a column of lists of integers or texts")
    return frame.select(pl.col("items").cast(pl.List(kind.inner)).list.drop_nulls())


def _items(path: Path, kind: pl.DataType) -> pl.DataFrame:
    frame = read_table(path, ("item",))
    try:
        return frame.with_columns(pl.col("item").cast(kind)).drop_nulls("item").unique("item", keep="last")
    except pl.exceptions.InvalidOperationError as error:
        raise problem(f"{path}/item", str(frame.schema["item"]), f"ids like those of the sequences, {kind}") from error


def _rows(frame: pl.DataFrame, catalogue: pl.Series) -> Histories:
    sizes = frame["items"].list.len().to_numpy()
    flat = frame["items"].explode(empty_as_null=False).rename("item").to_frame()
    places = pl.DataFrame({"item": catalogue, "row": np.arange(len(catalogue), dtype=np.int32)})
    rows = flat.join(places, on="item", how="left", maintain_order="left")["row"].to_numpy()
    return Histories(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), rows.astype(np.int32))


def _questions(known: Histories, whole: Histories, count_items: int) -> Questions:
    """Users with a history in `known` and one more item in `whole`."""
    sizes = np.diff(known.offsets)
    users = np.flatnonzero((sizes > 0) & (np.diff(whole.offsets) > sizes))
    return Questions(users, whole.items[whole.offsets[users] + sizes[users]].astype(np.int64), known, count_items)


def _aligned(described: pl.DataFrame, catalogue: pl.Series) -> pl.DataFrame:
    order = pl.DataFrame({"item": catalogue})
    return order.join(described, on="item", how="left", maintain_order="left")


def content_vectors(items: pl.DataFrame, cache: Path | None) -> Floats | None:
    """(I, C) unit vectors, zero for an item without a description; None where no item has one."""
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
    vectors = pretrained_vectors(distinct, Settings(), cache)[rows]
    vectors[[not text for text in texts]] = 0.0
    return vectors


def _attribute_vectors(items: pl.DataFrame) -> Floats | None:
    """(I, C) the leading singular vectors of the item x value matrix, values weighted by their rarity."""
    matrix = _values(items)
    if matrix is None:
        return None
    rarity = np.log(matrix.shape[0] / np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1.0))
    weighted = matrix @ sp.diags(rarity)
    width = min(ATTRIBUTE_WIDTH, min(weighted.shape))
    _, left, values, _ = leading_directions(weighted, width, np.random.default_rng(0), rounds=ITERATIONS)
    vectors = (left * values)[:, :width]
    unit: Floats = (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return unit


def _values(items: pl.DataFrame) -> sp.csr_matrix | None:
    """(I, V) the values of each item in all columns; values of a single item are left out."""
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
