"""Late events, loads that are killed, ranges of days, and how tables are compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.events import EventItem
from recommender.errors import InvalidInput

from tests.warehouse.shop import Shop, deliver, deliver_items, event, order_line, rebuilt, rows_of
from warehouse.__main__ import main
from warehouse.connect import Warehouse, open_local
from warehouse.day.day import run_day
from warehouse.day.schedule import pieces
from warehouse.engine.statements import Connection, execute
from warehouse.export.parts import fingerprint, fingerprints

FIRST, LAST = date(2026, 2, 3), date(2026, 2, 5)
TEA = EventItem("tea", 1, 200)


def test_events_older_than_thirty_days_are_counted_and_in_the_marts(warehouse: Warehouse, tmp_path: Path) -> None:
    deliver_items(warehouse, "tea")
    old = event("e1", "view_item", "2025-12-01T10:00:00", TEA)
    recent = event("e2", "view_item", "2026-02-02T10:01:00", TEA)
    Shop(warehouse, tmp_path).land(old, recent, loaded_at="2026-02-03T02:00:00")

    run = run_day(warehouse.connection, FIRST)

    assert run.too_late == 1
    assert rows_of(warehouse, "select count(*) from marts.session_events") == [(2,)]
    assert rows_of(warehouse, "select count_too_late from ops.runs") == [(1,)]


def test_a_double_is_known_however_much_later_it_is_loaded(warehouse: Warehouse, tmp_path: Path) -> None:
    """Merges look back to a month before the first event of their load, and a double has the time of the first."""
    deliver_items(warehouse, "tea")
    once = event("e1", "view_item", "2025-01-01T10:00:00", TEA)
    shop = Shop(warehouse, tmp_path)
    shop.land(once, loaded_at="2026-02-03T02:00:00")
    run_day(warehouse.connection, FIRST)
    before = fingerprint(warehouse.connection, "marts.sessions")

    shop.land(once, event("e2", "view_item", "2026-05-01T10:00:00", TEA), loaded_at="2026-05-02T02:00:00")
    run_day(warehouse.connection, date(2026, 5, 2))

    assert rows_of(warehouse, "select event_id from staging.stg_events order by 1") == [("e1",), ("e2",)]
    assert rows_of(warehouse, "select event_id from marts.session_events order by 1") == [("e1",), ("e2",)]
    execute(warehouse.connection, "delete from marts.sessions where started_at > '2026-04-01'::timestamp_ntz")
    assert fingerprint(warehouse.connection, "marts.sessions") == before


def test_an_event_id_belongs_to_its_session_so_no_acknowledged_event_of_another_one_is_dropped(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """Storefronts count e1, e2, … anew in each session; the API takes each of them, and so do staging and the marts."""
    deliver_items(warehouse, "tea", "jam")
    shop, claims = Shop(warehouse, tmp_path), {"placement": "home_hero"}
    visits = [("s1", "browser", "10:00", "tea"), ("s2", "browser", "15:00", "jam"), ("s3", "phone", "10:00", "jam")]
    days = {"2026-02-03T02:00:00": visits[:2], "2026-02-04T02:00:00": visits}  # the first two come again with the third
    for loaded_at, delivered in days.items():
        for session, browser, clock, item_id in delivered:
            who = {"session_id": session, "visitor_id": browser, "user_id": None}
            item, when = EventItem(item_id, 1, 200), f"2026-02-02T{clock}"
            shop.land(
                event("e1", "search", f"{when}:00", search_term=item_id, **who),
                event("e2", "view_item", f"{when}:10", item, **who),
                loaded_at=loaded_at,
            )
            shown = event("e3", "view_item_list", f"{when}:20", item, visible=True, **who)
            shop.land(shown, loaded_at=loaded_at, claims={**claims, "recommendation_id": f"of {session}"})
        run_day(warehouse.connection, date.fromisoformat(loaded_at[:10]))

    sessions = [session for session, *_ in visits]
    keys = [(session, event_id) for session in sessions for event_id in ("e1", "e2", "e3")]
    assert rows_of(warehouse, "select session_id, event_id from staging.stg_events order by 1, 2") == keys
    assert rows_of(warehouse, "select session_id, event_id, item_id from marts.session_events order by 1, 2") == [
        row for session, _, _, item in visits for row in ((session, "e1", None), (session, "e2", item))
    ]
    assert rows_of(warehouse, "select visitor_id, search_term, clicked_item_id from marts.searches order by 1, 2") == [
        ("browser", "jam", "jam"),
        ("browser", "tea", "tea"),
        ("phone", "jam", "jam"),
    ]
    assert rows_of(warehouse, "select session_id, visitor_id, item_id from marts.impressions order by 1") == [
        (session, browser, item) for session, browser, _, item in visits
    ]
    derived = fingerprints(warehouse.connection)
    assert derived == rebuilt(warehouse, date(2026, 2, 4))


def test_a_session_of_two_months_stays_one_when_it_goes_on(warehouse: Warehouse, tmp_path: Path) -> None:
    """A browser that asks every half hour: its session begins long before what merges otherwise look back to."""
    deliver_items(warehouse, "tea")
    begun = datetime(2026, 1, 1)
    moments = [begun + timedelta(minutes=30 * number) for number in range(60 * 48)]
    events = [event(f"e{number}", "view_item", f"{moment}", TEA) for number, moment in enumerate(moments)]
    shop = Shop(warehouse, tmp_path)
    shop.land(*events[:-1], loaded_at="2026-03-02T02:00:00")
    run_day(warehouse.connection, date(2026, 3, 2))

    shop.land(events[-1], loaded_at="2026-03-03T02:00:00")
    execute(warehouse.connection, "delete from raw.events where loaded_at < '2026-03-03'::timestamp_ntz")
    run_day(warehouse.connection, date(2026, 3, 3))

    assert rows_of(warehouse, "select started_at, count_events from marts.sessions") == [(begun, 60 * 48)]
    assert rows_of(warehouse, "select started_at, count_items from marts.browse_sequences") == [(begun, 1)]


class Killed(Exception):
    """Stands for a process that dies: nothing after it runs."""


class DyingAt:
    """A connection of a process that dies before the statement with `text`; its transaction dies with it."""

    def __init__(self, connection: Connection, text: str) -> None:
        self.connection, self.text = connection, text

    def cursor(self) -> Any:
        cursor = self.connection.cursor()
        run: Callable[..., Any] = cursor.execute

        def execute(command: str, params: Mapping[str, Any] | None = None) -> Any:
            if self.text in command:
                raise Killed
            return run(command, params)

        cursor.execute = execute  # type: ignore[method-assign]
        return cursor


@pytest.mark.parametrize("text", ["copy into raw.purchases", "insert into ops.loads", "commit"])
def test_a_load_that_is_killed_happens_once_when_it_is_tried_again(warehouse: Warehouse, text: str) -> None:
    lines = [order_line("o1", "tea", "2026-02-02T08:00:00"), order_line("o2", "tea", "2026-02-02T08:00:00")]
    dying = Warehouse(DyingAt(warehouse.connection, text), warehouse.unloader)

    with pytest.raises(Killed):
        deliver(dying, "purchases", lines, loaded_at="2026-02-03T02:00:00", load_id="night")
    assert rows_of(warehouse, "select count(*) from raw.purchases") == [(0,)]

    counts = [
        deliver(warehouse, "purchases", lines, loaded_at="2026-02-03T02:00:00", load_id="night") for _ in range(2)
    ]  # the file is PUT a second time, over what the first attempt left
    assert counts == [2, 0]
    assert rows_of(warehouse, "select count(*) from raw.purchases") == [(2,)]


def test_a_range_is_cut_into_pieces_and_must_not_run_backwards() -> None:
    assert pieces(FIRST, LAST, 2) == [(FIRST, FIRST + timedelta(days=1)), (LAST, LAST)]
    with pytest.raises(InvalidInput, match="/to is '2026-02-03', expected not before 2026-02-05"):
        pieces(LAST, FIRST, 31)


def test_a_fingerprint_changes_with_any_value_and_not_with_the_order(warehouse: Warehouse) -> None:
    def of(*rows: str) -> str:
        execute(warehouse.connection, "create or replace table staging.letters (a int, b variant)")
        for row in rows:
            execute(warehouse.connection, f"insert into staging.letters select {row}")
        return fingerprint(warehouse.connection, "staging.letters")

    one, two = "1, parse_json('{\"x\": 1}')", "2, null"
    assert of(one, two) == of(two, one)
    assert len({of(), of(one), of(one, one), of(one, two), of(one, "null, null")}) == 5


def test_the_commands_backfill_and_runs_print_one_json_line(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_local(database) as warehouse:
        deliver_items(warehouse, "tea", loaded_at="2026-02-03T02:00:00")

    assert main(["backfill", "--database", str(database), "--from", "2026-02-03", "--to", "2026-02-05"]) == 0
    assert main(["runs", "--database", str(database)]) == 0
    assert main(["backfill", "--database", str(database), "--from", "2026-02-05", "--to", "2026-02-03"]) == 1

    captured = capsys.readouterr()
    filled, runs = map(json.loads, captured.out.splitlines())
    assert (filled["from"], filled["to"], filled["runs"]) == ("2026-02-03", "2026-02-05", 1)
    assert [(run["first_day"], run["last_day"], run["status"]) for run in runs["runs"]] == [
        ("2026-02-03", "2026-02-05", "done")
    ]
    assert "/to is '2026-02-03'" in captured.err
