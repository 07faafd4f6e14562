"""The Parquet exports between warehouse and training: file names and columns, versioned.

The warehouse unloads one folder per export, `<root>/<name>/v1/*.parquet`, and a `manifest.json`
beside them; a training job reads nothing else. A column is (name, arrow type as text).
`shopper_id` is the user id where one is known, else the visitor id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

EXPORT_VERSION: Final = "v1"
MANIFEST_VERSION: Final = 2  # of manifest.json; 1 had one file an export and did not say its version
TIME: Final = "timestamp[us]"
ALL: Final = "all"  # the partition of an export without a time; of the others it is the month, as 2026-01

EXPORTS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    # grain: one line of an order; refunds are already taken off
    "purchases": (
        ("shopper_id", "string"),
        ("item_id", "string"),
        ("order_id", "string"),
        ("purchased_at", "timestamp[us]"),
        ("quantity", "int32"),
        ("price_cents", "int64"),  # paid for the whole line
    ),
    # grain: one item of the catalogue as of the export
    "items": (
        ("item_id", "string"),
        ("title", "string"),
        ("description", "string"),
        ("category", "string"),  # path, parts joined with " > "
        ("brand", "string"),
        ("price_cents", "int64"),  # regular price of one unit
        ("margin_share", "float32"),  # (price - cost) / price; see `margin_derived`
        ("margin_derived", "bool"),  # true where no cost is known and a documented rule stands in
        ("availability", "string"),  # in_stock, out_of_stock, preorder, backorder, discontinued
    ),
    # grain: one shopper
    "shoppers": (
        ("shopper_id", "string"),
        ("attributes", "string"),  # JSON object of text values; the incumbent's segments come from them
    ),
    # grain: one item of one event of one session, in order of event_time
    "session_events": (
        ("session_id", "string"),
        ("shopper_id", "string"),
        ("event_id", "string"),
        ("event_name", "string"),
        ("event_time", "timestamp[us]"),
        ("item_id", "string"),  # null for a search
        ("search_term", "string"),
        ("derived", "bool"),
    ),
    # grain: one item of one impression whose token was verified
    "impressions": (
        ("recommendation_id", "string"),
        ("session_id", "string"),
        ("placement", "string"),
        ("experiment", "string"),
        ("epoch", "int64"),
        ("variant", "string"),
        ("propensity", "float64"),
        ("item_id", "string"),
        ("index", "int32"),
        ("shown_at", "timestamp[us]"),
        ("clicked", "bool"),
    ),
    # grain: one search, with what was clicked before the session's next one
    "searches": (
        ("event_id", "string"),
        ("shopper_id", "string"),
        ("searched_at", "timestamp[us]"),
        ("search_term", "string"),
        ("clicked_item_id", "string"),  # null where nothing was, or no item of the catalogue
        ("clicked_position", "int32"),
        ("derived", "bool"),
    ),
    # grain: one review of an item in the catalogue
    "reviews": (
        ("review_id", "string"),
        ("item_id", "string"),
        ("shopper_id", "string"),
        ("rating", "int32"),  # 1 to 5
        ("text", "string"),
        ("reviewed_at", "timestamp[us]"),
        ("is_verified", "bool"),  # the shopper had ordered the item by then
    ),
    # grain: one item on one day (UTC, midnight) on which something happened to it
    "item_popularity": (
        ("day", "timestamp[us]"),
        ("item_id", "string"),
        ("count_views", "int64"),
        ("count_cart_additions", "int64"),
        ("count_orders", "int64"),
        ("count_units", "int64"),
        ("revenue_cents", "int64"),
        ("derived", "bool"),  # some of the views and cart additions were derived by a rule
    ),
}

# Columns that a shop may have: read where they are, and never asked for.
OPTIONAL_COLUMNS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "items": (("reviews", "string"),),  # what shoppers wrote of the item, all in one text
    # outcomes in the same session; who had no part in the experiment; what was known of the visitor
    "impressions": (
        ("visitor_id", "string"),
        ("is_holdout", "bool"),
        ("segment", "string"),
        ("carted", "bool"),
        ("purchased", "bool"),
    ),
}

# A total order for each export, so that the same rows give the same file; a time that comes first makes the months.
# A month that is written in parallel is several files, each in this order, and nothing is said across them.
ORDER: Final[dict[str, tuple[str, ...]]] = {
    "purchases": ("purchased_at", "order_id", "item_id"),
    "items": ("item_id",),
    "shoppers": ("shopper_id",),
    "session_events": ("event_time", "session_id", "event_id", "item_id"),
    "impressions": ("shown_at", "recommendation_id", "placement", "index", "item_id"),
    "searches": ("searched_at", "event_id", "shopper_id"),
    "reviews": ("reviewed_at", "review_id"),
    "item_popularity": ("day", "item_id"),
}


def time_of(name: str) -> str | None:
    """The column that makes the months of an export, if it has one: a time that comes first in its order."""
    first = ORDER[name][0]
    return first if dict(EXPORTS[name])[first] == TIME else None


def hash_of_parts(parts: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the month and the hash of each part, in their order: none comes, goes or moves unseen."""
    return hashlib.sha256("".join(f"{partition} {digest}\n" for partition, digest in parts).encode()).hexdigest()
