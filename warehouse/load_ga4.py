"""The GA4 export in BigQuery as flat events: event_params as key and value records, items as records.

Of one event_name GA4 exports what the tag sent, so the names are ours already but for view_search_results.
What is no matter of a shop (page_view, scroll, session_start, …) is None and counted as ignored. GA4 gives a hit no
id: it is made from the whole row, so the same hit in another export file is the same event.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from recommender.contracts.events import EVENT_NAMES

GA4_COLUMNS: Final = {"event_name", "event_timestamp", "event_params"}
RENAMED: Final = {"view_search_results": "search"}
UNSET: Final = ("", "(not set)", "(not provided)")  # what GA4 writes for nothing


def flat(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """One exported row as an event of ours with text or JSON values; None where the shop has no use for it."""
    name = RENAMED.get(record.get("event_name", ""), record.get("event_name"))
    if name not in EVENT_NAMES:
        return None
    parameters = {entry["key"]: _value(entry.get("value") or {}) for entry in record.get("event_params") or ()}
    items = [_item(item) for item in record.get("items") or ()]
    visitor, session = record.get("user_pseudo_id"), parameters.get("ga_session_id")
    lists = [item.get("item_list_id") for item in record.get("items") or ()]
    ecommerce = record.get("ecommerce") or {}
    return {
        "event_id": _digest(record),
        "event_name": name,
        "event_time": str(record.get("event_timestamp")),  # microseconds since 1970, UTC
        "visitor_id": visitor,
        "session_id": f"{visitor}.{session}" if visitor and session is not None else None,
        "user_id": record.get("user_id"),
        "items": json.dumps(items),
        "item_list_id": _set(parameters.get("item_list_id")) or next(filter(_set, lists), None),
        "search_term": _set(parameters.get("search_term")),
        "transaction_id": _set(parameters.get("transaction_id")) or _set(ecommerce.get("transaction_id")),
        "attribution_token": _set(parameters.get("attribution_token")),
        "visible": str(parameters.get("visible", "false")).lower(),
    }


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "item_id": _set(item.get("item_id")),
        "quantity": 1 if item.get("quantity") is None else item["quantity"],
        "price": item.get("price"),
        "index": _set(item.get("item_list_index")),
    }


def _value(value: Mapping[str, Any]) -> Any:
    kinds = ("string_value", "int_value", "double_value", "float_value")
    return next((value[kind] for kind in kinds if value.get(kind) is not None), None)


def _set(value: Any) -> Any:
    return None if value is None or str(value) in UNSET else value


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(_plain(record), sort_keys=True, default=str).encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    """Without nulls and with numbers as text: JSON lines and Parquet then give the same id."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return f"{value:.15g}" if isinstance(value, float) else str(value)
