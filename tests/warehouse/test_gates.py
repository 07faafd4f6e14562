"""Every gate fails on the fault that is planted for it, and none on the clean day before it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.events import EventItem
from recommender.errors import NotFound

from tests.warehouse.shop import Shop, at, deliver, deliver_items, event, order_line, rows_of
from warehouse.checks import CHECKS
from warehouse.doctor import diagnose
from warehouse.doctor_page import BODY, write_report
from warehouse.engine import Warehouse, open_local
from warehouse.pipeline import run_day
from warehouse.quality import QualityStop

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")

CLEAN, FAULTY = date(2026, 1, 3), date(2026, 1, 5)
CLAIMS = {
    "recommendation_id": "r1",
    "placement": "home_hero",
    "experiment": "exp",
    "config_version": 7,
    "epoch": 3,
    "variant": "hybrid",
    "propensity": 0.25,
    "is_holdout": False,
    "segment": "user",
}
# Checks that a correct MERGE cannot be made to fail from outside, or that other tests make fail.
ELSEWHERE = {
    "events_unique",
    "order_lines_unique",
    "items_unique",
    "catalogue_volume",
    "purchases_volume_high",
    "events_volume_low",
    "freshness",
    "events_freshness",
}


@pytest.fixture(scope="module")
def shop(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("gates")
    shutil.copy(empty_database, folder)
    with open_local(folder) as opened:
        yield Shop(opened, folder / "landed")


@pytest.fixture(scope="module")
def verdicts(shop: Shop) -> Mapping[str, Mapping[str, Any]]:
    """What the checks said of the clean day and of the faulty one."""
    _clean_day(shop)
    clean = run_day(shop.warehouse.connection, CLEAN)
    assert clean.warnings == ()
    _faulty_day(shop)
    with pytest.raises(QualityStop):
        run_day(shop.warehouse.connection, FAULTY)
    rows = rows_of(
        shop.warehouse,
        f"select name, count_checked, count_failed, passed, value, allowed from quality.results"
        f" where run_on = '{FAULTY}'",
    )
    names = ("checked", "failed", "passed", "value", "allowed")
    return {name: dict(zip(names, row, strict=True)) for name, *row in rows}


def _clean_day(shop: Shop) -> None:
    deliver_items(shop.warehouse, "tea", "jam", loaded_at="2026-01-03T01:00:00")
    lines = [order_line(f"c{n}", "tea", "2026-01-02T20:00:00") for n in range(20)]
    deliver(shop.warehouse, "purchases", lines, loaded_at="2026-01-03T02:00:00")
    for day in range(22, 30):  # eight days of usual deliveries: 1,000 orders and one event
        _loaded(shop.warehouse, "purchases", f"2025-12-{day}T02:00:00", 1_000)
        _loaded(shop.warehouse, "events", f"2025-12-{day}T02:00:00", 1)
    _loaded(shop.warehouse, "purchases", "2026-01-03T03:00:00", 1_000)
    shown = event("l1", "view_item_list", "2026-01-02T20:00:00", EventItem("tea", index=0), visible=True)
    shop.land(shown, loaded_at="2026-01-03T03:00:00", claims=CLAIMS)
    chosen = event("k1", "select_item", "2026-01-02T20:01:00", EventItem("tea", index=0))
    shop.land(chosen, loaded_at="2026-01-03T03:10:00", claims=CLAIMS)


def _loaded(warehouse: Warehouse, table: str, loaded_at: str, rows: int) -> None:
    """A load of which only the record is left."""
    rows_of(warehouse, f"insert into ops.loads values ('{table} of {loaded_at}', '{table}', {rows}, '{loaded_at}')")


def _faulty_day(shop: Shop) -> None:
    warehouse, night = shop.warehouse, "2026-01-05T02:00:00"
    catalogue: list[dict[str, Any]] = [
        {"item_id": "tea", "title": "Tea", "category": "PANTRY", "price_cents": 1_200},  # was 200
        {"item_id": "jam", "title": "", "category": "PANTRY", "price_cents": 0, "availability": "perhaps"},
        {"item_id": "pot", "title": "Pot", "category": "HOME", "price_cents": 100, "cost_cents": 500},
        {"item_id": "cup", "category": "HOME", "price_cents": 100},
    ]
    deliver(warehouse, "items", catalogue, loaded_at=night)
    lines = [
        order_line("f1", "unknown", "2026-01-04T20:00:00"),
        order_line("f4", "unknown", "2026-01-04T20:00:00"),
        order_line("f2", "tea", "2026-01-04T20:00:00", quantity=-1),
        {**order_line("f3", "tea", "2026-01-04T20:00:00"), "shopper_id": None},
    ]
    deliver(warehouse, "purchases", lines, loaded_at=night)
    reviews: list[dict[str, Any]] = [
        {"review_id": "r1", "item_id": "tea", "rating": 9},
        {"review_id": None, "item_id": "tea", "rating": 4},
    ]
    deliver(warehouse, "reviews", reviews, loaded_at=night)
    rows: list[dict[str, Any]] = [
        {"event_id": None, "event_name": "search", "event_time": at("2026-01-04T20:00:00")},
        _row("e1", "dance", "2026-01-04T20:00:00"),
        _row("e2", "search", "2026-01-06T20:00:00"),
        *(_row("e3", "search", "2026-01-01T20:00:00") for _ in range(5)),
        *(_row(f"u{n}", "search", "2026-01-04T20:00:00", user_id=f"user{n}") for n in range(6)),
    ]
    deliver(warehouse, "events", rows, loaded_at=night)
    unread = event(
        "l2", "view_item_list", "2026-01-04T20:00:00", EventItem("tea"), visible=True, attribution_token="forged"
    )
    shop.land(unread, event("v9", "view_item", "2026-01-04T20:00:00", EventItem("unknown")), loaded_at=night)
    odd = {**CLAIMS, "recommendation_id": "r2", "propensity": 0.0}
    shown = event("l3", "view_item_list", "2026-01-05T00:10:00", EventItem("tea", index=0), visible=True)
    shop.land(shown, loaded_at="2026-01-05T02:10:00", claims=odd)
    lost = event("k2", "select_item", "2026-01-05T00:20:00", EventItem("tea", index=0))
    shop.land(lost, loaded_at="2026-01-05T02:20:00", claims={**CLAIMS, "recommendation_id": "never shown"})
    refused = ", ".join(f"('orders.csv', {row}, 'no number', 'x', '{night}')" for row in range(20))
    rows_of(warehouse, f"insert into raw.rejects values {refused}")
    rows_of(
        warehouse,
        f"insert into ops.new_columns values ('items', 'colour', 'added', '', 'items/1', '{night}')",
    )


def _row(event_id: str, name: str, happened_at: str, *, user_id: str | None = None) -> dict[str, Any]:
    ids = {"event_id": event_id, "visitor_id": "kiosk", "session_id": "kiosk", "user_id": user_id}
    return {**ids, "event_name": name, "event_time": at(happened_at), "search_term": "tea"}


@pytest.mark.parametrize("name", [check.name for check in CHECKS if check.name not in ELSEWHERE])
def test_the_gate_fails_on_its_planted_fault(name: str, verdicts: Mapping[str, Mapping[str, Any]]) -> None:
    assert not verdicts[name]["passed"], verdicts[name]


def test_a_share_is_recorded_with_its_limit(verdicts: Mapping[str, Mapping[str, Any]]) -> None:
    # f3 of the 20 lines since the last run and the four of the day has no shopper
    assert verdicts["purchase_keys"]["value"] == pytest.approx(1 / 24)
    assert verdicts["purchase_keys"]["allowed"] == 0.01


def test_volume_is_compared_with_the_usual_day(verdicts: Mapping[str, Mapping[str, Any]]) -> None:
    # 4 orders against a median of 1,000; the events against one a day
    assert verdicts["purchases_volume_low"]["value"] == pytest.approx(0.004)
    assert verdicts["events_volume_high"]["value"] > 5


def test_the_doctor_explains_the_faulty_day(
    shop: Shop, verdicts: Mapping[str, Mapping[str, Any]], tmp_path: Path
) -> None:
    diagnosis = diagnose(shop.warehouse.connection)

    assert (diagnosis.day, diagnosis.state, diagnosis.exit_code) == (str(FAULTY), "stop", 2)
    assert {finding.name for finding in diagnosis.findings} == {n for n, v in verdicts.items() if not v["passed"]}
    text = diagnosis.to_text()
    assert "example  event_id e1, event_name dance" in text
    assert "anna" not in text
    assert "user1" not in text
    page = write_report(diagnosis, tmp_path).read_text()
    assert page.count("<svg") == len(diagnosis.trends) + len(diagnosis.volumes)
    assert json.loads((tmp_path / BODY).read_text())["state"] == "stop"


def test_the_doctor_finds_nothing_on_the_clean_day(shop: Shop, verdicts: Mapping[str, Mapping[str, Any]]) -> None:
    diagnosis = diagnose(shop.warehouse.connection, CLEAN)

    assert (diagnosis.state, diagnosis.exit_code, diagnosis.findings) == ("ok", 0, ())


def test_a_day_that_was_never_checked_has_no_diagnosis(shop: Shop, verdicts: Mapping[str, Mapping[str, Any]]) -> None:
    with pytest.raises(NotFound, match="2025-01-01"):
        diagnose(shop.warehouse.connection, date(2025, 1, 1))
