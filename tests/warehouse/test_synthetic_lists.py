"""Lists and clicks of a synthetic history: claims as the running shop writes them, outcomes as the events say."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, time, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from recommender.contracts.events import EventItem
from recommender.contracts.placements import DEFAULT, INCUMBENT, POLICIES
from recommender.domain.serving.attribution import Claims, to_record

from warehouse.connect import Warehouse
from warehouse.day.day import run_day
from warehouse.engine.statements import execute
from warehouse.raw.raw_append import append
from warehouse.sources.synthetic_history import Part, deliveries
from warehouse.sources.synthetic_lists import PROPENSITIES
from warehouse.sources.synthetic_shop import CLICK_SHARE, HOLDOUT_SHARE, Shop

SHOP = Shop(12_000, 3, shoppers=300, items=120)
SIZES = {placement.placement_id: placement.size for placement in DEFAULT}


@pytest.fixture(scope="module")
def delivered() -> dict[str, pl.DataFrame]:
    """Three days, and what arrives of them in the month after."""
    end = SHOP.first + timedelta(days=3)
    first, rest = deliveries(SHOP, [Part(SHOP.first, end), Part(end, end + timedelta(days=31), 1)])
    early = rest.frames["events"].filter(pl.col("event_id").str.contains("-[012]$"))
    return {**first.frames, "events": pl.concat([first.frames["events"], early])}


@pytest.fixture(scope="module")
def attributed(delivered: dict[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """Every list and click once, with its parsed claims and items."""
    rows = delivered["events"].filter(pl.col("claims").is_not_null()).unique("event_id")
    return [{**row, "claims": json.loads(row["claims"]), "items": json.loads(row["items"])} for row in rows.to_dicts()]


def test_claims_are_those_that_a_verified_token_has(attributed: list[dict[str, Any]]) -> None:
    names = {field.name for field in fields(Claims)}
    kinds = {name: type(value) for name, value in to_record(Claims("", "", "", 0, 0, "", 0.5, (), 0, "")).items()}

    for row in attributed:
        claims = row["claims"]
        assert claims.keys() == names
        assert all(isinstance(claims[name], kind) for name, kind in kinds.items() if name != "item_ids")
        assert (claims["placement"], claims["session_id"]) == (row["item_list_id"], row["session_id"])
        assert abs(claims["issued_at"] - row["event_time"].replace(tzinfo=UTC).timestamp()) <= 4
        assert claims["segment"] == ("session" if row["user_id"] is None else "user")


def test_a_list_has_the_items_of_its_claims_in_order_each_once(attributed: list[dict[str, Any]]) -> None:
    lists = [row for row in attributed if row["event_name"] == "view_item_list"]
    assert {row["item_list_id"] for row in lists} == set(SIZES)

    for row in lists:
        items = [EventItem(**item) for item in row["items"]]
        assert [item.item_id for item in items] == row["claims"]["item_ids"]
        assert [item.index for item in items] == list(range(len(items)))
        assert len({item.item_id for item in items}) == len(items)
        assert 1 <= len(items) <= SIZES[row["item_list_id"]]
        assert row["visible"]
    assert np.mean([len(row["items"]) for row in lists]) == pytest.approx(np.mean(list(SIZES.values())), rel=0.05)


def test_there_is_about_one_list_a_session(
    delivered: dict[str, pl.DataFrame], attributed: list[dict[str, Any]]
) -> None:
    lists = sum(row["event_name"] == "view_item_list" for row in attributed)

    assert lists / delivered["events"]["session_id"].n_unique() == pytest.approx(SHOP.lists_per_session, rel=0.06)


def test_a_click_is_on_an_item_of_its_list_that_is_looked_at_next(
    delivered: dict[str, pl.DataFrame], attributed: list[dict[str, Any]]
) -> None:
    lists = {row["claims"]["recommendation_id"]: row for row in attributed if row["event_name"] == "view_item_list"}
    clicks = [row for row in attributed if row["event_name"] == "select_item"]
    views = delivered["events"].filter(pl.col("event_name") == "view_item")
    viewed = {
        (session, at, json.loads(items)[0]["item_id"])
        for session, at, items in views.select("session_id", "event_time", "items").iter_rows()
    }

    assert len(clicks) / len(lists) == pytest.approx(CLICK_SHARE, rel=0.2)
    for click in clicks:
        shown = lists[click["claims"]["recommendation_id"]]
        (item,) = click["items"]
        assert item in shown["items"]
        assert click["claims"] == shown["claims"]
        assert click["event_time"] - shown["event_time"] == timedelta(seconds=3)
        assert (click["session_id"], click["event_time"] + timedelta(seconds=1), item["item_id"]) in viewed


def test_variants_are_drawn_by_their_propensity_and_kept_by_a_visitor(attributed: list[dict[str, Any]]) -> None:
    claims = [row["claims"] for row in attributed if row["event_name"] == "view_item_list"]
    held = [one for one in claims if one["is_holdout"]]
    free = [one for one in claims if not one["is_holdout"]]
    chosen: dict[tuple[str, str], set[str]] = {}
    for row in attributed:
        chosen.setdefault((row["visitor_id"], row["item_list_id"]), set()).add(row["claims"]["variant"])

    assert len(held) / len(claims) == pytest.approx(HOLDOUT_SHARE, abs=0.03)
    assert {(one["variant"], one["propensity"]) for one in held} == {(INCUMBENT, 1.0)}
    for policy, propensity in zip(POLICIES, PROPENSITIES, strict=True):
        of_policy = [one for one in free if one["variant"] == policy]
        assert len(of_policy) / len(free) == pytest.approx(propensity, abs=0.05)
        assert {one["propensity"] for one in of_policy} == {propensity}
    assert all(len(variants) == 1 for variants in chosen.values())


def test_impressions_and_their_outcomes_are_those_of_the_events(
    warehouse: Warehouse, delivered: dict[str, pl.DataFrame], attributed: list[dict[str, Any]]
) -> None:
    night = datetime.combine(SHOP.first + timedelta(days=40), time(2))
    for table, frame in delivered.items():
        append(warehouse.connection, table, frame, load_id=table, loaded_at=night)
    run_day(warehouse.connection, night.date())
    found = execute(
        warehouse.connection,
        "select recommendation_id, placement, item_id, clicked, carted, purchased from marts.impressions",
    )

    shown = [
        (row, item["item_id"]) for row in attributed if row["event_name"] == "view_item_list" for item in row["items"]
    ]
    done = _done(delivered["events"])
    expected = {
        (row["claims"]["recommendation_id"], row["item_list_id"], item): (
            (row["claims"]["recommendation_id"], item) in done["select_item"],
            *(
                any(at >= row["event_time"] for at in done[name].get((row["session_id"], item), []))
                for name in ("add_to_cart", "purchase")
            ),
        )
        for row, item in shown
    }
    assert {tuple(row[:3]): tuple(row[3:]) for row in found} == expected
    assert all(sum(outcome[place] for outcome in expected.values()) > 0 for place in range(3))


def _done(events: pl.DataFrame) -> dict[str, dict[tuple[str, str], list[datetime]]]:
    """Name of the event -> (session, or recommendation of a click, and item) -> when."""
    done: dict[str, dict[tuple[str, str], list[datetime]]] = {"select_item": {}, "add_to_cart": {}, "purchase": {}}
    for row in events.filter(pl.col("event_name").is_in(list(done))).to_dicts():
        place = json.loads(row["claims"])["recommendation_id"] if row["claims"] else row["session_id"]
        for item in json.loads(row["items"]):
            done[row["event_name"]].setdefault((place, item["item_id"]), []).append(row["event_time"])
    return done
