"""Landed files are loaded once, and a line that is no event is kept aside with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.events import EventItem, to_record
from recommender.errors import Conflict

from tests.warehouse.shop import at, event, rows_of
from warehouse.connect import Warehouse
from warehouse.engine.locks import take_lease
from warehouse.raw import landed_events as landing
from warehouse.raw.landed_events import PIPELINE, Landed, load_landing, load_stage

RECORD = {
    **to_record(event("e1", "add_to_cart", "2026-01-02T10:00:00.250000", EventItem("tea", 2, 199))),
    "claims": None,
    "rewards": [],
}
LOADED_AT = at("2026-01-02T11:00:00")


def write(folder: Path, *lines: str) -> None:
    path = folder / "events" / "dt=2026-01-02" / "batch-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")


def test_a_landed_record_is_a_raw_event(warehouse: Warehouse, tmp_path: Path) -> None:
    write(tmp_path, json.dumps({**RECORD, "claims": {"recommendation_id": "r1"}}))

    landed = load_landing(warehouse.connection, tmp_path, loaded_at=LOADED_AT)

    assert landed == Landed(files=1, events=1)
    query = """
        select event_id, event_time, items[0]:quantity::int, claims:recommendation_id::varchar, loaded_at
        from raw.events
    """
    assert rows_of(warehouse, query) == [("e1", at("2026-01-02T10:00:00.250000"), 2, "r1", LOADED_AT)]


def test_a_file_is_loaded_once(warehouse: Warehouse, tmp_path: Path) -> None:
    write(tmp_path, json.dumps(RECORD))
    load_landing(warehouse.connection, tmp_path, loaded_at=LOADED_AT)

    assert load_landing(warehouse.connection, tmp_path, loaded_at=LOADED_AT) == Landed()
    assert rows_of(warehouse, "select count(*) from raw.events") == [(1,)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{torn", "JSONDecodeError"),
        ("[]", "TypeError"),
        (json.dumps({"event_id": "e2"}), "KeyError: 'event_name'"),
        (json.dumps({**RECORD, "session_id": ""}), "session_id must not be empty"),
        (json.dumps({**RECORD, "event_name": "sneeze"}), "event_name is 'sneeze'"),
        (json.dumps({**RECORD, "event_time": "2026-01-02T10:00:00"}), "expected a zone"),
    ],
)
def test_a_line_that_is_no_event_is_kept_aside_and_the_rest_is_loaded(
    warehouse: Warehouse, tmp_path: Path, line: str, reason: str
) -> None:
    write(tmp_path, line, json.dumps(RECORD))

    landed = load_landing(warehouse.connection, tmp_path, loaded_at=LOADED_AT)

    assert landed == Landed(files=1, events=1, rejected=1)
    found: list[tuple[Any, ...]] = rows_of(warehouse, "select line_number, reason from ops.rejected_lines")
    assert found[0][0] == 1
    assert reason in found[0][1]


def test_a_stage_is_read_once_and_gives_the_same_rows_as_a_folder(warehouse: Warehouse, tmp_path: Path) -> None:
    write(tmp_path, json.dumps({**RECORD, "claims": {"recommendation_id": "r1"}}))
    query = (
        "select event_id, event_time, visitor_id, items[0]:item_id::varchar, claims:recommendation_id::varchar, visible"
    )
    rows_of(warehouse, "create stage raw.landing")
    rows_of(warehouse, f"put 'file://{next(tmp_path.rglob('*.jsonl'))}' @raw.landing/events/ auto_compress = false")

    counts = [load_stage(warehouse.connection, "@raw.landing/events/", loaded_at=LOADED_AT) for _ in range(2)]
    load_landing(warehouse.connection, tmp_path, loaded_at=LOADED_AT)

    assert counts == [1, 0]
    from_stage, from_folder = rows_of(warehouse, f"{query} from raw.events")
    assert from_stage == from_folder


def test_a_record_of_a_stage_that_does_not_fit_is_null_and_holds_up_nothing(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(
        tmp_path,
        json.dumps({**RECORD, "event_time": "2026-01-02T12:00:00.250000+02:00"}),
        json.dumps({**RECORD, "event_id": "e" * 129}),
        json.dumps({**RECORD, "event_id": "e3", "event_time": "soon", "visible": "perhaps", "order": 7}),
        json.dumps([1]),
    )
    rows_of(warehouse, "create stage raw.landing")
    rows_of(warehouse, f"put 'file://{next(tmp_path.rglob('*.jsonl'))}' @raw.landing/events/ auto_compress = false")

    assert load_stage(warehouse.connection, "@raw.landing/events/", loaded_at=LOADED_AT) == 4

    moment = at("2026-01-02T10:00:00.250000")
    query = 'select event_id, event_time, visible, claims is null, "ORDER" from raw.events order by event_id'
    assert rows_of(warehouse, query) == [
        ("e1", moment, False, True, None),
        ("e3", None, None, True, "7"),
        (None, moment, False, True, None),
        (None, None, None, True, None),
    ]
    query = "select table_name, count_rows, loaded_at from ops.loads"
    assert rows_of(warehouse, query) == [("events", 4, LOADED_AT)]


def test_a_load_of_a_stage_that_another_took_over_leaves_everything_to_it(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, json.dumps(RECORD))
    rows_of(warehouse, "create stage raw.landing")
    rows_of(warehouse, f"put 'file://{next(tmp_path.rglob('*.jsonl'))}' @raw.landing/events/ auto_compress = false")
    stage = "@raw.landing/events/"

    def overtaken(*_: object) -> tuple[str, ...]:
        take_lease(warehouse.connection, PIPELINE, purpose="another load", holder=stage)
        return ()

    with monkeypatch.context() as patch:
        patch.setattr(landing, "_new_keys", overtaken)
        with pytest.raises(Conflict, match="took over"):
            load_stage(warehouse.connection, stage, loaded_at=LOADED_AT)
    assert rows_of(warehouse, "select count(*) from raw.events") == [(0,)]

    assert load_stage(warehouse.connection, stage, loaded_at=LOADED_AT) == 1
