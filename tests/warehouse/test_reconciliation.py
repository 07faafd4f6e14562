"""`--run` ends with what became of the rows, and fails where more is lost than may be; a first load is no exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warehouse.load.__main__ import main

CATALOGUE = "item_id,title,category,price\ntea,Tea,K,2.00\njam,Jam,K,3.00\n"
HEAD = "order_id,item_id,shopper_id,purchased_at,quantity,unit_price\n"
Load = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def load(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Load:
    """Load texts as files and run the day: the exit code, the line on stdout, what stderr says."""

    def run(*options: str, day: int = 2, **tables: str) -> tuple[int, dict[str, Any], str]:
        call = ["--database", str(database), "--loaded-at", f"2026-03-0{day}T12:00:00", "--run", *options]
        for table, text in tables.items():
            path = tmp_path / f"{table}-{day}.csv"
            path.write_text(text)
            call += [f"--{table}", str(path)]
        code = main(call)
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return run


def figures(told: dict[str, Any], table: str) -> dict[str, tuple[int | None, ...]]:
    """By stage: rows, orders, units, cents, shoppers."""
    measures = ("rows", "orders", "units", "cents", "shoppers")
    return {stage["name"]: tuple(stage[name] for name in measures) for stage in told["run"]["reconciliation"][table]}


def order(number: int, shopper: str = "ann", item: str = "tea", quantity: int = 2) -> str:
    return f"{number},{item},{shopper},2026-03-01T10:00:00Z,{quantity},2.00\n"


def test_a_run_ends_with_what_became_of_the_rows_from_file_to_export(load: Load) -> None:
    lines = [order(1), order(1), order(1, item="jam"), order(2, "ben"), *(order(n) for n in range(3, 12))]

    code, told, said = load(items=CATALOGUE, purchases=HEAD + "".join(lines) + order(12, ""))

    whole, good = (14, 12, 28, 14 * 400, 2), (13, 11, 26, 13 * 400, 2)
    made = (12, 11, 26, 13 * 400, 2)  # the two lines of tea in order 1 are one of the mart
    assert figures(told, "purchases") == {
        "file": whole,
        "refused": (1, 1, 2, 400, 0),
        "- shopper_id: empty: guests are not taken": (1, 1, 2, 400, 0),
        "loaded": good,
        "staged": good,
        "mart": made,
        "exported": made,
    }
    assert figures(told, "items")["staged"][0] == 2
    table = said[said.index("purchases   ") :]
    assert [line.split()[0] for line in table.splitlines()[1:]] == [
        "file",
        "refused",
        "-",
        "loaded",
        "staged",
        "mart",
        "exported",
    ]
    assert "56.00" in table.splitlines()[1]
    assert code == 0


def test_a_run_fails_in_one_sentence_where_more_than_a_stated_share_is_lost(load: Load) -> None:
    guests = HEAD + order(1) + order(2, "guest") + order(3, "NA") + order(4, "ben")

    code, told, said = load(items=CATALOGUE, purchases=guests)

    assert code == 1
    assert told["run"]["lost"].endswith(" of purchases are lost on the way, at most 20% may be (--most-lost)")
    assert told["run"]["lost"].startswith("50.0% of the ")
    assert said.splitlines()[-1] == f"load: {told['run']['lost']}"
    assert "guest's row is not taken" in said


def test_the_share_that_may_be_lost_is_an_option(load: Load) -> None:
    guests = HEAD + order(1) + order(2, "guest") + order(3, "NA") + order(4, "ben")

    code, told, _ = load("--most-lost", "0.5", items=CATALOGUE, purchases=guests)

    assert (code, "lost" in told["run"]) == (0, False)


def test_money_is_judged_as_well_as_rows(load: Load) -> None:
    lines = "".join(order(n) for n in range(1, 10)) + order(10, "guest", quantity=500)  # 1 row of 10, most of the money

    code, told, _ = load(items=CATALOGUE, purchases=HEAD + lines)

    assert code == 1
    assert told["run"]["lost"].startswith(f"{500 / 518:.1%} of the ")


def test_what_the_exports_leave_out_is_lost_on_the_way_too(load: Load) -> None:
    lines = "".join(order(n) for n in range(40)) + order(41, item="unknown", quantity=900)

    code, told, _ = load(items=CATALOGUE, purchases=HEAD + lines)

    assert figures(told, "purchases")["mart"][2] == 40 * 2 + 900
    assert figures(told, "purchases")["exported"][2] == 40 * 2
    assert code == 1


def test_a_line_that_was_refunded_is_no_loss(load: Load) -> None:
    refund = "event_name,event_time,visitor_id,transaction_id,item_id,quantity\nrefund,2026-03-01T11:00:00Z,v,1,tea,2\n"

    code, told, _ = load(items=CATALOGUE, purchases=HEAD + order(1) + order(2), events=refund)

    assert figures(told, "purchases")["exported"] == (2, 2, 4, 800, 1)
    assert code == 0


def test_the_same_files_again_lose_nothing(load: Load) -> None:
    files = {"items": CATALOGUE, "purchases": HEAD + order(1) + order(2)}
    load(**files)

    code, told, said = load(day=3, **files)

    assert (code, told["run"]["reconciliation"]) == (0, {})
    assert "2 files were loaded before" in said


def test_a_catalogue_with_an_item_twice_is_told_of_in_the_reconciliation(load: Load) -> None:
    _, told, said = load(items=CATALOGUE + "tea,Tea,K,2.50\n", purchases=HEAD + order(1))

    assert [figures(told, "items")[stage][0] for stage in ("loaded", "staged")] == [3, 2]
    assert "1 rows of items are repeated further down in their file; the last row of each item counts" in said


def test_purchase_events_that_make_no_order_are_told(load: Load) -> None:
    head = "event_name,event_time,visitor_id,item_id,price\n"

    _, _, said = load(items=CATALOGUE, events=head + "purchase,2026-03-01T10:00:00Z,v,tea,2.00\n" * 2)

    assert "purchase events name no order (transaction_id) and make none" in said


def test_a_first_load_is_judged_like_any_other(load: Load) -> None:
    rejects = "".join(order(n) for n in range(8)) + "9,tea,ann,never,1,2.00\n"
    kiosk = "event_name,event_time,visitor_id,user_id,item_id\n" + "".join(
        f"view_item,2026-01-01T10:0{n}:00Z,kiosk,user{n},tea\n" for n in range(7)
    )

    _, told, said = load(
        items=CATALOGUE, purchases=HEAD.replace("\n", ",shade\n") + rejects.replace("\n", ",x\n"), events=kiosk
    )

    assert {"rejects", "late_events", "new_columns", "shared_visitors"} <= set(told["run"]["failed"])
    silent = said[said.index("Nothing to judge") :].splitlines()[0]
    assert not {name for name in ("rejects", "late_events", "new_columns", "shared_visitors") if name in silent}
