"""A shop of nine items for simulated shoppers: three categories of three, of which one is bought far more."""

from __future__ import annotations

from typing import Any

from local.shoppers.crowd import Crowd, Household
from local.shoppers.visit import shelves

ITEMS: list[dict[str, Any]] = [
    {
        "item_id": f"{category}{n}",
        "category": f"Food > {category}",
        "brand": "own" if n else "other",
        "price_cents": 250,
    }
    for category in ("bread", "milk", "tea")
    for n in range(3)
]
ORDERS = {"bread0": 1.0, "milk1": 8.0, "tea2": 1.0}
SHOP = shelves(ITEMS, ORDERS)
HOUSEHOLDS = (Household("7", {"tea1": 500.0}), Household("8", {"bread1": 500.0}))


def crowd(*, seed: int = 1, run: str = "r") -> Crowd:
    return Crowd(SHOP, HOUSEHOLDS, seed, run)


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """Two milks in every placement asked for."""
    items = [{"item_id": item["item_id"]} for item in ITEMS[3:5]]
    return {
        "placements": [
            {
                "placement": (name := entry["placement"]),
                "item_list_id": name,
                "attribution_token": f"token of {name}",
                "experiment": {"id": "e", "variant": "cohorts"},
                "items": items,
            }
            for entry in body["placements"]
        ]
    }
