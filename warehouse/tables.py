"""The raw tables as the loaders see them: which columns a source delivers, with their Snowflake types.

The columns of events are the contract's; `claims` is the verified content of the attribution token as it
was landed. `ddl/20_raw.sql` holds the same columns, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recommender.contracts.events import EVENT_COLUMNS

PLACE: Final = ("delivery_id", "row_number")  # which load brought a row, and where it stood in it
Columns = tuple[tuple[str, str], ...]  # (name, Snowflake type)

RAW: Final[Mapping[str, Columns]] = {
    "events": (*((column.name, column.sql_type) for column in EVENT_COLUMNS), ("claims", "variant")),
    "purchases": (
        ("order_id", "varchar(128)"),
        ("item_id", "varchar(128)"),
        ("shopper_id", "varchar(128)"),
        ("purchased_at", "timestamp_ntz"),
        ("quantity", "number(9, 0)"),
        ("price_cents", "number(18, 0)"),
        ("order_line_id", "varchar(128)"),
        ("delivery_id", "varchar(64)"),
        ("row_number", "number(18, 0)"),
    ),
    "items": (
        ("item_id", "varchar(128)"),
        ("title", "varchar(1024)"),
        ("description", "varchar(16384)"),
        ("category", "varchar(1024)"),
        ("brand", "varchar(256)"),
        ("price_cents", "number(18, 0)"),
        ("cost_cents", "number(18, 0)"),
        ("availability", "varchar(32)"),
        ("delivery_id", "varchar(64)"),
        ("row_number", "number(18, 0)"),
    ),
    "shoppers": (("shopper_id", "varchar(128)"), ("attributes", "variant")),
    "reviews": (
        ("review_id", "varchar(128)"),
        ("item_id", "varchar(128)"),
        ("shopper_id", "varchar(128)"),
        ("rating", "number(9, 0)"),
        ("text", "varchar(16384)"),
        ("reviewed_at", "timestamp_ntz"),
    ),
    "erasures": (("shopper_id", "varchar(128)"), ("requested_at", "timestamp_ntz")),
}


AVAILABILITIES: Final = ("in_stock", "out_of_stock", "preorder", "backorder", "discontinued")
