"""The doctor says of a faulty day what failed, how many, which rows, and what to call next; and names no shopper."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.events import EventItem
from recommender.errors import DependencyDown, NotFound

from tests.warehouse.healthy import DAY, row_of
from tests.warehouse.shop import Shop, at, deliver, event, order_line, rows_of
from tests.warehouse.story import CLAIMS
from warehouse.__main__ import main
from warehouse.connect import open_local
from warehouse.day.checks import CHECKS
from warehouse.day.day import run_day
from warehouse.day.doctor import Diagnosis, diagnose
from warehouse.day.doctor_page import BODY, PAGE, write_report
from warehouse.day.quality import QualityStop

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")

FAULTY = DAY + timedelta(weeks=1)
NIGHT = f"{FAULTY}T02:00:00"
EVE = f"{FAULTY - timedelta(days=1)}T20:00:00"
FAILED = {
    "events_volume_low",
    "purchases_volume_low",
    "event_keys",
    "purchase_keys",
    "item_keys",
    "review_keys",
    "purchase_values",
    "event_names",
    "item_availabilities",
    "review_ratings",
    "event_before_load",
    "event_copies",
    "rejects",
    "order_items_known",
    "event_items_known",
    "item_prices",
    "item_margins",
    "item_costs",
    "price_jumps",
    "item_texts",
    "impressions_without_claims",
    "clicks_without_impression",
    "impression_propensities",
}


@pytest.fixture(scope="module")
def shop(healthy_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The healthy shop, and a week later a day on which everything was delivered wrong."""
    folder = tmp_path_factory.mktemp("doctor")
    shutil.copy(healthy_database, folder)
    with open_local(folder) as opened:
        shop = Shop(opened, folder / "landed")
        run_day(opened.connection, FAULTY - timedelta(days=1))
        _deliver_faults(shop)
        with pytest.raises(QualityStop):
            run_day(opened.connection, FAULTY)
        yield shop


@pytest.fixture(scope="module")
def diagnosis(shop: Shop) -> Diagnosis:
    return diagnose(shop.warehouse.connection)


def _deliver_faults(shop: Shop) -> None:
    catalogue: list[dict[str, Any]] = [
        {"item_id": "tea", "title": "Tea", "category": "PANTRY", "price_cents": 1_300},  # was 210
        {"item_id": "jam", "title": "", "category": "PANTRY", "price_cents": 0, "availability": "perhaps"},
        {"item_id": "pot", "title": "Pot", "category": "HOME", "price_cents": 100, "cost_cents": 500},
        {"item_id": "cup", "category": "HOME", "price_cents": 100},
    ]
    deliver(shop.warehouse, "items", catalogue, loaded_at=NIGHT)
    lines = [
        order_line("f1", "unknown", EVE),
        order_line("f2", "tea", EVE, quantity=-1),
        {**order_line("f3", "tea", EVE), "shopper_id": None},
    ]
    deliver(shop.warehouse, "purchases", lines, loaded_at=NIGHT)
    reviews: list[dict[str, Any]] = [
        {"review_id": "r1", "item_id": "tea", "rating": 9},
        {"review_id": None, "item_id": "tea", "rating": 4},
    ]
    deliver(shop.warehouse, "reviews", reviews, loaded_at=NIGHT)
    rows = [
        row_of(None, "search", at(EVE)),
        row_of("e1", "dance", at(EVE)),
        row_of("e2", "search", at(EVE) + timedelta(days=2)),
        *[row_of("e3", "search", at(EVE), search_term="tea")] * 3,
    ]
    deliver(shop.warehouse, "events", rows, loaded_at=NIGHT)
    items = (EventItem("tea", index=0),)
    unread = event("l2", "view_item_list", EVE, *items, visible=True, attribution_token="forged")
    shop.land(unread, event("v9", "view_item", EVE, EventItem("unknown")), loaded_at=NIGHT)
    odd = {**CLAIMS, "recommendation_id": "r2", "propensity": 0.0}
    shop.land(event("l3", "view_item_list", EVE, *items, visible=True), loaded_at=NIGHT, claims=odd)
    never_shown = {**CLAIMS, "recommendation_id": "r3"}
    shop.land(event("k2", "select_item", EVE, *items), loaded_at=NIGHT, claims=never_shown)
    rows_of(shop.warehouse, f"insert into raw.rejects values ('orders.csv', 1, 'no number', 'x', '{NIGHT}')")


def test_every_failure_is_found_and_the_state_is_stop(diagnosis: Diagnosis) -> None:
    assert (diagnosis.day, diagnosis.state, diagnosis.exit_code) == (str(FAULTY), "stop", 2)
    assert {finding.name for finding in diagnosis.findings} == FAILED


def test_the_text_says_how_many_which_rows_which_loads_and_what_to_call(diagnosis: Diagnosis) -> None:
    text = diagnosis.to_text("shop")

    assert "[stop] purchase_keys: 1 of 3 failed, at most 1.0% may" in text
    assert f"example  order_id f3, item_id tea, purchased_at {at(EVE)}, loaded_at {at(NIGHT)}" in text
    assert f"example  order_id f1, item_id unknown, loaded_at {at(NIGHT)}" in text  # marts are undone, raw is not
    assert "example  item_id pot, price_cents 100, cost_cents 500" in text
    assert f"example  loaded_on {DAY}, count_rows 60" in text
    assert f"warehouse withdraw --database shop --table purchases --loaded-at {NIGHT}   # 3 rows" in text
    assert f"--loaded-at {DAY}T02:00:00" not in text  # was taken by the run of the healthy day
    assert text.endswith(f"recommender warehouse backfill --database shop --from {FAULTY} --to {FAULTY}")
    for finding in diagnosis.findings:
        assert finding.meaning in text
        assert finding.remedy in text
        # undone with the day, and nothing of them is in raw as such
        undone = {"price_jumps", "impression_propensities", "clicks_without_impression", "event_items_known"}
        undone |= {"item_prices", "item_costs", "item_texts", "impressions_without_claims"}
        assert bool(finding.examples) is (finding.name not in undone), finding.name


def test_neither_text_nor_page_names_a_shopper_or_a_browser(diagnosis: Diagnosis, tmp_path: Path) -> None:
    page = write_report(diagnosis, tmp_path).read_text()
    body = (tmp_path / BODY).read_text()

    for text in (diagnosis.to_text(), page, body):
        assert not [name for name in ("anna", "browser", "shopper 1") if name in text]
    assert page.count("<svg") == len(diagnosis.trends) + len(diagnosis.volumes)
    assert f"--table purchases --loaded-at {NIGHT}" in page
    assert f"--from {FAULTY} --to {FAULTY}" in page
    assert json.loads(body)["state"] == "stop"


def test_the_doctor_finds_nothing_on_the_healthy_day(shop: Shop, diagnosis: Diagnosis) -> None:
    found = diagnose(shop.warehouse.connection, DAY)

    assert (found.state, found.exit_code, found.findings, found.waiting) == ("ok", 0, (), ())
    text = found.to_text()
    assert text.startswith(f"{DAY}: ok; 0 of {len(CHECKS)} checks failed, 1 had nothing to judge\n")
    assert text.endswith("Nothing to judge, for want of rows or of weeks to compare with: new_columns")
    assert "withdraw" not in text
    assert dict(found.volumes)["purchases"][-1] == (str(DAY), 60)


def test_a_day_that_was_never_run_says_which_were_and_how_to_run_it(shop: Shop, diagnosis: Diagnosis) -> None:
    with pytest.raises(NotFound) as error:
        diagnose(shop.warehouse.connection, date(2025, 1, 1))

    assert error.value.detail == (
        f"nothing is recorded of 2025-01-01; there are days from {DAY - timedelta(days=2)} to {FAULTY}."
        " Run it: recommender warehouse backfill --database DIR --from 2025-01-01 --to 2025-01-01"
    )


def test_where_there_is_no_warehouse_the_doctor_says_so_and_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--database", str(tmp_path / "nowhere")]) == 1

    assert f"there is no warehouse in {tmp_path / 'nowhere'}; make one with" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_without_the_packages_of_the_page_the_json_is_written_and_the_error_names_what_lacks(
    diagnosis: Diagnosis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(DependencyDown, match=r"quality.html needs jinja2, which is not installed; .*json is written"):
        write_report(diagnosis, tmp_path)

    assert json.loads((tmp_path / BODY).read_text())["day"] == str(FAULTY)
    assert not (tmp_path / PAGE).exists()
