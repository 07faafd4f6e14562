"""Products and graded judgments as the search benchmark reads them.

    --products   item_id, title, and where known description, category, brand, attributes, reviews
    --judgments  query, item_id, grade (0: irrelevant; higher is better)

Parquet, CSV or JSON lines. Other names are understood (`NAMES`) or named by `--columns ours=theirs,...`. Judgments of
items that are not in the catalogue are left out, and counted. Letters: I items, J judged items of a query.

Decisions: docs/decisions/search.md (107).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from recommender.contracts.fields import problem
from recommender.domain.models.arrays import Doubles

from benchmarks.tables import read_table
from training_jobs.content_bert.data import CatalogueTexts, item_texts

NAMES: Mapping[str, tuple[str, ...]] = {
    "item_id": ("item_id", "id", "product_id", "docid", "sku"),
    "title": ("title", "name", "product_name", "product_title"),
    "description": ("description", "short_description", "product_description"),
    "category": ("category", "category_hierarchy", "product_class"),
    "brand": ("brand", "supplier", "manufacturer", "product_brand"),
    "attributes": ("attributes",),
    "reviews": ("reviews",),
    "query": ("query",),
    "grade": ("grade", "rating", "relevance"),
}
TEXTS = ("title", "description", "category", "brand", "attributes", "reviews")
NEEDED = ("item_id", "query", "grade")
LARGEST_EXPONENT = 10.0  # grades above are taken as gains themselves


@dataclass(frozen=True, slots=True)
class Judged:
    """One query and the judgments of some items."""

    query: str
    rows: np.ndarray  # (J,) rows of the catalogue
    gains: Doubles  # (J,) 2^grade - 1


@dataclass(frozen=True, slots=True)
class SearchData:
    """One catalogue with its judged queries."""

    fields: Mapping[str, Sequence[str]]  # field -> (I,) texts
    texts: CatalogueTexts
    judged: tuple[Judged, ...]
    facts: Mapping[str, object]

    @property
    def count_items(self) -> int:
        """I."""
        return len(self.texts.rows)


def load(products: Path, judgments: Path, columns: Mapping[str, str]) -> SearchData:
    """Read and check both files. Raises RecommenderError naming the fault."""
    items = _named(read_table(products), columns, "/products").unique("item_id", keep="last", maintain_order=True)
    items = items.with_columns(pl.lit("").alias(name) for name in TEXTS if name not in items.columns)
    if not items.height:
        raise problem("/products", products.name, "at least one product")
    found = _named(read_table(judgments), columns, "/judgments")
    for column in (column for column in NEEDED if column not in found.columns):
        raise problem(f"/judgments/{column}", found.columns, f"a column {column}, or --columns {column}=its name")
    return _joined(items, found)


def _joined(items: pl.DataFrame, found: pl.DataFrame) -> SearchData:
    grades = found.select("query", "item_id", pl.col("grade").cast(pl.Float64, strict=False)).drop_nulls(
        ["query", "item_id"]
    )
    if grades.height and not (grades["grade"].is_finite() & (grades["grade"] >= 0)).fill_null(False).all():
        raise problem("/judgments/grade", "a null, negative or not finite grade", "numbers from 0 upwards")
    place = items.with_row_index("row").select("item_id", pl.col("row").cast(pl.Int64))
    known = grades.join(place, on="item_id", how="inner").group_by("query", "row").agg(pl.col("grade").max())
    judged = _judged(known)
    if not judged:
        raise problem("/judgments", f"{found.height} rows", "a query with a known item of a grade above 0")
    fields = {name: items[name].fill_null("").to_list() for name in TEXTS}
    more = pl.concat_str("description", "attributes", separator=" ", ignore_nulls=True).str.strip_chars()
    return SearchData(
        fields,
        item_texts(items.with_columns(more.alias("description"))),
        judged,
        {
            "items": items.height,
            "texts_with_words": sum(bool(title.strip()) for title in fields["title"]),
            "queries": known["query"].n_unique(),
            "queries_with_a_relevant_item": len(judged),
            "judgments": grades.height,
            "judgments_of_unknown_items": grades.height - grades.join(place, on="item_id", how="semi").height,
        },
    )


def _judged(known: pl.DataFrame) -> tuple[Judged, ...]:
    """The queries with something to find, in order of their text."""
    is_exponent = float(known["grade"].max() or 0.0) <= LARGEST_EXPONENT
    gain = pl.lit(2.0).pow(pl.col("grade")) - 1.0 if is_exponent else pl.col("grade")
    grouped = known.with_columns(gain.alias("gain")).sort("query", "row").group_by("query", maintain_order=True)
    lists = grouped.agg("row", "gain").filter(pl.col("gain").list.max() > 0)
    return tuple(Judged(query, np.array(rows, np.int64), np.array(gains)) for query, rows, gains in lists.iter_rows())


def _named(frame: pl.DataFrame, columns: Mapping[str, str], pointer: str) -> pl.DataFrame:
    """The columns that are used, by our names; texts as text."""
    found = {}
    for ours, theirs in NAMES.items():
        candidates = [columns[ours]] if columns.get(ours) in frame.columns else list(theirs)
        name = next((name for name in candidates if name in frame.columns), None)
        if name is not None:
            found[ours] = pl.col(name) if ours == "grade" else pl.col(name).cast(pl.String)
    if "item_id" not in found:
        raise problem(f"{pointer}/item_id", frame.columns, "a column item_id, or --columns item_id=its name")
    return frame.select(expression.alias(ours) for ours, expression in found.items())
