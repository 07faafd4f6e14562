"""`recommender load`: what it prints, what it writes, its exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.warehouse.shop import rows_of
from warehouse.connect import open_local
from warehouse.load.__main__ import main
from warehouse.load.delivery import Delivery, load_delivery


def test_the_command_shows_then_loads_then_runs_the_day(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items, purchases = tmp_path / "items.csv", tmp_path / "orders.csv"
    items.write_text("sku,name,category,price\n" + "".join(f"{n},Tea {n},Drinks/Tea,2.00\n" for n in range(5)))
    lines = "".join(f"7,{n},s,2026-01-01,1,2.00\n" for n in range(5))
    purchases.write_text(f"order_id,sku,customer_id,date,qty,unit_price\n{lines}7,x,s\n")
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps({"items": {"category_separator": "/"}}))
    files = ["--items", str(items), "--purchases", str(purchases), "--mapping", str(mapping)]
    when = ["--loaded-at", "2026-03-02T13:00:00+01:00"]

    assert main([*files, *when, "--dry-run"]) == 0
    shown = json.loads(capsys.readouterr().out)["files"]
    assert [(file["table"], file["good"], file["rejected"]) for file in shown] == [("items", 5, 0), ("purchases", 5, 1)]
    assert shown[0]["first_rows"][0]["category"] == "Drinks > Tea"

    assert main([*files, *when, "--database", str(database), "--run"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert [file["loaded"] for file in told["files"]] == [5, 5]
    assert (told["run"]["day"], told["run"]["state"]) in {("2026-03-02", "ok"), ("2026-03-02", "warn")}
    assert "purchases: quantity = qty" in captured.err
    with open_local(database) as warehouse:
        assert rows_of(warehouse, "select count(*), sum(quantity) from marts.order_lines") == [(5, 5)]


def test_a_wrong_call_is_2_and_a_file_that_is_not_there_is_1(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as wrong:
        main(["--database", str(database)])
    assert wrong.value.code == 2
    assert main(["--items", str(tmp_path / "none.csv"), "--dry-run"]) == 1
    assert "no such file" in capsys.readouterr().err


def test_a_day_that_a_check_stops_is_explained_and_its_rows_stay_in_raw(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text("order_id,sku,customer_id,date,qty,unit_price\n7,unknown,s,2026-01-01,1,2.00\n")

    call = ["--purchases", str(orders), "--database", str(database), "--loaded-at", "2026-03-02T12:00:00", "--run"]
    assert main(call) == 1

    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert (told["files"][0]["loaded"], told["run"]["state"]) == (1, "stop")
    assert "  do       " in captured.err
    with open_local(database) as warehouse:
        assert rows_of(warehouse, "select count(*) from marts.order_lines") == [(0,)]


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from warehouse.connect import open_local
from warehouse.load.delivery import Delivery, load_delivery

def kill(part):
    if part == 1:
        os.kill(os.getpid(), signal.SIGKILL)

with open_local(Path(sys.argv[1])) as warehouse:
    delivery = Delivery("purchases", Path(sys.argv[2]), datetime(2026, 3, 2, 12), rows_at_once=2)
    load_delivery(warehouse.connection, delivery, on_part=kill)
"""


def test_a_load_that_was_killed_goes_on_without_doubles(database: Path, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "order_id,sku,customer_id,date,qty,unit_price\n" + "".join(f"7,{n},s,2026-01-01,1,2\n" for n in range(5))
    )
    counts = "select count(*), count(distinct item_id) from raw.purchases"

    killed = subprocess.run([sys.executable, "-c", KILLED, str(database), str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL

    with open_local(database) as warehouse:
        assert rows_of(warehouse, counts) == [(4, 4)]
        outcome = load_delivery(
            warehouse.connection, Delivery("purchases", path, datetime(2026, 3, 2, 13), rows_at_once=2)
        )
        assert (outcome.loaded, rows_of(warehouse, counts)) == (1, [(5, 5)])
