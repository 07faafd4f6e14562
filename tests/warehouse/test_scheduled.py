"""What the schedule calls beside a day's run: requests from a folder or from S3, the quality page, the alerts."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.warehouse.shop import deliver, deliver_items, order_line, rows_of
from warehouse.connect import Warehouse
from warehouse.day.alerts import ReportRun, report_deadline, report_failure
from warehouse.day.day import run_day
from warehouse.day.quality import QualityStop
from warehouse.day.schedule import answer_requests, publish_quality, take_requests

DAY = date(2026, 1, 3)
NOW = datetime(2026, 1, 3, 12)


class Bucket:
    """The part of boto3's S3 client that is used, over a dictionary of key and body; a page has one key."""

    def __init__(self, **bodies: bytes) -> None:
        self.bodies = {f"{key}.txt": body for key, body in bodies.items()}
        self.kinds: dict[str, str] = {}

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, *, Bucket: str, Prefix: str, Delimiter: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert (Bucket, Delimiter) == ("shop", "/")
        for key in sorted(self.bodies):
            yield {"Contents": [{"Key": f"{Prefix}{key}"}]}
        yield {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        return {"Body": io.BytesIO(self.bodies[Key.removeprefix("erasures/")])}

    def upload_file(self, path: str, bucket: str, key: str, *, ExtraArgs: dict[str, str]) -> None:  # noqa: N803
        self.bodies[f"{bucket}/{key}"] = Path(path).read_bytes()
        self.kinds[key.rpartition("/")[2]] = ExtraArgs["ContentType"]


def test_requests_on_s3_and_in_a_folder_are_taken_once_a_file(warehouse: Warehouse, tmp_path: Path) -> None:
    bucket = Bucket(monday=b"ada\nbo\n\n", tuesday=b" ada \n")
    (tmp_path / "monday.txt").write_text("ada\nbo\n")

    first = take_requests(warehouse.connection, "s3://shop/erasures/", now=NOW, s3=bucket)
    again = take_requests(warehouse.connection, "s3://shop/erasures", now=NOW, s3=bucket)
    moved = take_requests(warehouse.connection, str(tmp_path), now=NOW)

    assert (first, again, moved) == (3, 0, 0)
    assert rows_of(warehouse, "select shopper_id from raw.erasures order by 1") == [("ada",), ("ada",), ("bo",)]


def test_a_request_on_s3_deletes_the_shopper_and_answers_with_a_number(warehouse: Warehouse) -> None:
    deliver_items(warehouse, "tea")
    line = {**order_line("o1", "tea", "2026-01-02T08:00:00"), "shopper_id": "ada"}
    deliver(warehouse, "purchases", [line], loaded_at="2026-01-03T02:00:00")
    run_day(warehouse.connection, DAY)

    bucket = Bucket(monday=b"ada\n")
    deleted = answer_requests(warehouse.connection, "s3://shop/erasures", now=NOW, holder="test", s3=bucket)

    assert deleted > 0
    assert rows_of(warehouse, "select count(*) from marts.order_lines") == [(0,)]


def test_the_page_of_a_stopped_day_is_published_and_shows_no_row(warehouse: Warehouse, tmp_path: Path) -> None:
    deliver_items(warehouse, "tea")
    line = {**order_line("o1", "jam", "2026-01-02T08:00:00"), "shopper_id": "ada"}
    deliver(warehouse, "purchases", [line], loaded_at="2026-01-03T02:00:00")
    with pytest.raises(QualityStop):
        run_day(warehouse.connection, DAY)
    bucket = Bucket()

    local = publish_quality(warehouse.connection, str(tmp_path / "quality"), day=DAY)
    remote = publish_quality(warehouse.connection, "s3://shop/exports/quality/2026-01-03", day=DAY, s3=bucket)

    assert (local, remote) == ("stop", "stop")
    body = json.loads(bucket.bodies["shop/exports/quality/2026-01-03/quality.json"])
    assert body == json.loads((tmp_path / "quality/quality.json").read_text())
    assert "order_items_known" in [finding["name"] for finding in body["findings"]]
    assert all(not finding["examples"] for finding in body["findings"])
    assert bucket.kinds == {"quality.html": "text/html", "quality.json": "application/json"}


def test_a_day_without_checks_has_no_page(warehouse: Warehouse, tmp_path: Path) -> None:
    assert publish_quality(warehouse.connection, str(tmp_path / "quality"), day=DAY) == "unchecked"
    assert not (tmp_path / "quality").exists()


def test_alerts_name_the_dag_and_the_run(caplog: pytest.LogCaptureFixture) -> None:
    task = SimpleNamespace(dag_id="daily", task_id="run_day", run_id="r1")
    timed_out = {"dag": SimpleNamespace(dag_id="daily"), "run_id": "r1", "reason": "timed_out"}

    with caplog.at_level(logging.ERROR):
        report_failure({"task_instance": task})
        ReportRun("8:00:00")(timed_out)
        ReportRun("8:00:00")({**timed_out, "reason": "task_failure"})
        asyncio.run(report_deadline(limit="3:00:00", context={"dag_run": {"dag_id": "daily", "dag_run_id": "r1"}}))
        asyncio.run(report_deadline(limit="3:00:00"))

    assert caplog.messages == [
        "failed: dag daily, task run_day, run r1",
        "late: dag daily, run r1: given up after 8:00:00",
        "failed: dag daily, run r1: task_failure",
        "late: dag daily, run r1: not done 3:00:00 after it was queued",
        "late: dag ?, run ?: not done 3:00:00 after it was queued",
    ]
