"""A run is whole or it is nothing: two at once, a step that fails, a warehouse that goes away, a check that says no."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector
from recommender.errors import Conflict, DependencyDown

from tests.warehouse.shop import deliver, deliver_items, order_line, rows_of
from warehouse.connect import DATABASE, Warehouse, open_local
from warehouse.day.day import read_watermark, run_day
from warehouse.day.quality import QualityStop
from warehouse.day.runs import read_runs
from warehouse.engine.locks import end_lease, take_lease
from warehouse.engine.statements import Connection, transaction
from warehouse.export.parts import fingerprints

DAY = date(2026, 1, 3)


@pytest.fixture
def shop(warehouse: Warehouse) -> Warehouse:
    deliver_items(warehouse, "tea")
    deliver(warehouse, "purchases", [order_line("o1", "tea", "2026-01-02T08:00:00")], loaded_at="2026-01-03T02:00:00")
    return warehouse


@pytest.fixture
def elsewhere(shop: Warehouse) -> Iterator[Connection]:
    """A second session on the same warehouse."""
    connection = snowflake.connector.connect(database=DATABASE, schema="PUBLIC")
    yield connection
    connection.close()


class Failing:
    """A connection that is lost for good at the first statement with `text` in it; the engine rolls back by itself."""

    def __init__(self, connection: Connection, text: str) -> None:
        self.connection, self.text, self.lost = connection, text, False

    def cursor(self) -> Any:
        return self

    def execute(self, command: str, params: Mapping[str, Any] | None = None) -> None:
        if not self.lost and self.text in command:
            self.lost = True
            self.connection.cursor().execute("rollback")
        if self.lost:
            raise snowflake.connector.errors.OperationalError("connection reset")
        self.found = self.connection.cursor()
        self.found.execute(command, params)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.found.fetchall()


def statuses(warehouse: Warehouse) -> list[str]:
    return [status for _, _, status, *_ in reversed(read_runs(warehouse.connection))]


def test_a_second_run_while_one_is_at_work_is_refused_and_the_first_ends_well(
    shop: Warehouse, elsewhere: Connection
) -> None:
    refused: list[str] = []

    def second(step: str) -> None:
        if not refused:
            with pytest.raises(Conflict) as error:
                run_day(elsewhere, date(2026, 1, 4))
            refused.append(error.value.detail)

    run_day(shop.connection, DAY, holder="airflow/daily", on_step=second)

    assert refused[0].startswith(
        "the run of 2026-01-04 cannot start: the run of 2026-01-03 is running by airflow/daily since"
    )
    assert statuses(shop) == ["done"]
    assert rows_of(shop, "select token from ops.leases where pipeline = 'daily'") == [(None,)]


def test_a_run_whose_lease_was_taken_over_is_undone(shop: Warehouse, elsewhere: Connection) -> None:
    before = fingerprints(shop.connection)
    taken: list[Any] = []

    def take_over(step: str) -> None:
        if not taken:
            taken.append(take_lease(elsewhere, "daily", purpose="a retry", holder="same task"))

    with pytest.raises(Conflict):
        run_day(shop.connection, DAY, holder="same task", on_step=take_over)

    assert fingerprints(shop.connection) == before
    assert rows_of(shop, "select purpose from ops.leases where pipeline = 'daily'") == [("a retry",)]


def test_a_lease_that_ran_out_is_free_and_one_that_is_held_is_not(shop: Warehouse) -> None:
    held = take_lease(shop.connection, "daily", purpose="a run")
    with pytest.raises(Conflict, match="another run cannot start: a run is running since"):
        take_lease(shop.connection, "daily", purpose="another run")

    rows_of(shop, "update ops.leases set expires_at = dateadd(second, -1, sysdate()) where pipeline = 'daily'")
    take_lease(shop.connection, "daily", purpose="another run")
    with pytest.raises(Conflict, match="took over"), transaction(shop.connection):
        end_lease(shop.connection, held)


def test_opening_the_embedded_warehouse_frees_what_a_killed_process_held(database: Path) -> None:
    with open_local(database) as warehouse:
        take_lease(warehouse.connection, "daily", purpose="a run that is killed")

    with open_local(database) as warehouse:
        take_lease(warehouse.connection, "daily", purpose="the next run")
        held = rows_of(warehouse, "select purpose from ops.leases where pipeline = 'daily'")

    assert held == [("the next run",)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("merge into staging.stg_purchases", "staging/stg_purchases.sql"),
        ("merge into marts.carts", "marts/carts.sql"),
        ("update ops.leases set token = null", "update ops.leases"),
        ("commit", "commit"),
    ],
)
def test_a_warehouse_that_goes_away_leaves_everything_as_it_was_and_the_next_run_heals(
    shop: Warehouse, text: str, name: str
) -> None:
    before, watermark = fingerprints(shop.connection), read_watermark(shop.connection)

    with pytest.raises(DependencyDown, match=f"the warehouse went away in {name}"):
        run_day(Failing(shop.connection, text), DAY, holder="task")

    assert fingerprints(shop.connection) == before
    assert read_watermark(shop.connection) == watermark
    with pytest.raises(Conflict):  # nobody knows yet that it is dead
        take_lease(shop.connection, "daily", purpose="another run")

    take_lease(shop.connection, "daily", purpose="its own retry", holder="task")


def test_a_killed_run_is_recorded_as_lost_by_the_retry_that_does_its_work(shop: Warehouse) -> None:
    with pytest.raises(DependencyDown):
        run_day(Failing(shop.connection, "merge into marts.order_lines"), DAY, holder="task")

    run_day(shop.connection, DAY, holder="task")

    assert statuses(shop) == ["lost", "done"]
    assert rows_of(shop, "select count(*) from marts.order_lines") == [(1,)]


def test_a_check_that_says_stop_undoes_the_day_and_its_verdict_stays(shop: Warehouse) -> None:
    run_day(shop.connection, DAY)
    before, watermark = fingerprints(shop.connection), read_watermark(shop.connection)
    unknown = [order_line(f"u{n}", "nowhere", "2026-01-03T08:00:00") for n in range(3)]
    deliver(shop, "purchases", unknown, loaded_at="2026-01-04T02:00:00")

    with pytest.raises(QualityStop, match="order_items_known"):
        run_day(shop.connection, date(2026, 1, 4))

    assert fingerprints(shop.connection) == before
    assert read_watermark(shop.connection) == watermark
    query = "select passed from quality.results where name = 'order_items_known' and run_on = '2026-01-04'"
    assert rows_of(shop, query) == [(False,)]
    assert statuses(shop) == ["done", "stopped"]
    ((message,),) = rows_of(shop, "select message from ops.runs where status = 'stopped'")
    assert "order_items_known" in message
