"""Snowflake copies straight into the exports bucket: the statements it gets, and files as it writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlglot
from recommender.contracts.exports import ALL, EXPORTS, MANIFEST, Part, exported_file
from recommender.errors import Conflict
from sqlglot import exp

from tests.training.small_exports import written_exports
from training_jobs.exports import read_exports
from warehouse.export.export_store import S3Root, folder_root, s3_root
from warehouse.export.parts import Cut
from warehouse.export.unload import SnowflakeUnloader, copy_statement

OCTOBER = Cut("purchases", "2026-10", EXPORTS["purchases"], 3, "3:17:4")
STAGE_URL = "s3://exports/shop/"


def file_of(*lines: tuple[str, int]) -> bytes:
    """Order lines by order and hour of 1 October, as Snowflake writes them: times and numbers are decimals."""
    stream = BytesIO()
    pl.DataFrame(
        {
            "shopper_id": ["anna"] * len(lines),
            "item_id": ["tea"] * len(lines),
            "order_id": [order for order, _ in lines],
            "purchased_at": [
                Decimal(int(datetime(2026, 10, 1, hour, tzinfo=UTC).timestamp()) * 10**6) for _, hour in lines
            ],
            "quantity": pl.Series([1] * len(lines), dtype=pl.Int8),
            "price_cents": [Decimal(200)] * len(lines),
        }
    ).write_parquet(stream)
    return stream.getvalue()


FILES = {
    "2026-10_01b2_0_0_0.snappy.parquet": file_of(("o2", 9), ("o3", 11)),
    "2026-10_01b2_0_1_0.snappy.parquet": file_of(("o1", 9)),
}


class Bucket:
    """What S3Root asks of boto3; nothing is there but what Snowflake wrote."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_paginator(self, name: str) -> Bucket:
        return self

    def paginate(self, **options: str) -> list[dict[str, Any]]:
        return [{}]

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {"Body": Body(self.objects[Key])}

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        self.objects[key] = Path(path).read_bytes()


class Body(BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while chunk := self.read(7):
            yield chunk


class Account:
    """Answers as an account would: the stage's URL, and the files of a COPY with their rows."""

    def __init__(self, bucket: Bucket, *, stage_url: str = STAGE_URL) -> None:
        self.statements: list[str] = []
        self._bucket, self._stage_url = bucket, stage_url
        self._rows: list[tuple[Any, ...]] = []

    def cursor(self) -> Account:
        return self

    def execute(self, command: str, params: Mapping[str, Any] | None = None) -> None:
        self.statements.append(command)
        if "information_schema.stages" in command:
            assert params == {"schema": "EXPORTS", "name": "UNLOADED"}
            self._rows = [(self._stage_url,)]
            return
        place = command.split("@exports.unloaded/")[1].split()[0]
        folder = place.rpartition("/")[0]
        self._bucket.objects |= {f"shop/{folder}/{name}": content for name, content in FILES.items()}
        self._rows = [(f"{folder}/{name}", len(FILES[name]), 2 - number) for number, name in enumerate(FILES)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows


@contextmanager
def unloaded(stage_url: str = STAGE_URL) -> Iterator[tuple[Account, Bucket, S3Root]]:
    bucket = Bucket()
    with s3_root(bucket, "s3://exports/shop/2026-11-01") as root:
        yield Account(bucket, stage_url=stage_url), bucket, root


def test_a_month_is_copied_below_the_days_prefix_and_each_file_is_a_part() -> None:
    with unloaded() as (account, _, root):
        parts = SnowflakeUnloader(account).write(OCTOBER, root)

    assert [(part.partition, part.rows, part.path, part.fingerprint) for part in parts] == [
        ("2026-10", 2, "purchases/v1/2026-10_01b2_0_0_0.snappy.parquet", "3:17:4"),
        ("2026-10", 1, "purchases/v1/2026-10_01b2_0_1_0.snappy.parquet", "3:17:4"),
    ]
    assert len({part.sha256 for part in parts}) == 2
    assert "copy into @exports.unloaded/2026-11-01/purchases/v1/2026-10 from (" in account.statements[-1]


def test_the_statement_is_snowflakes_and_names_columns_as_the_contract_does() -> None:
    (copied,) = sqlglot.parse(copy_statement(OCTOBER, "2026-11-01/purchases/v1/2026-10"), dialect="snowflake")
    assert isinstance(copied, exp.Copy)
    (query,) = copied.find_all(exp.Select)

    assert [column.alias for column in query.selects] == [name for name, _ in EXPORTS["purchases"]]
    assert all(column.args["alias"].quoted for column in query.selects)
    text = copied.sql(dialect="snowflake").lower()
    assert "date_part(epoch_microsecond, purchased_at)" in text
    assert "purchased_at >= cast('2026-10-01 00:00:00' as timestamp" in text
    assert "purchased_at < cast('2026-11-01 00:00:00' as timestamp" in text
    for option in ("header = true", "include_query_id = true", "detailed_output = true"):
        assert option in copy_statement(OCTOBER, "here")


def test_a_stage_over_another_place_is_refused_before_anything_is_written() -> None:
    with (
        unloaded("s3://other/exports/") as (account, _, root),
        pytest.raises(Conflict, match=r"is s3://other/exports/; expected one over s3://exports/shop/2026-11-01"),
    ):
        SnowflakeUnloader(account).write(OCTOBER, root)

    assert len(account.statements) == 1


def test_an_export_without_rows_is_one_empty_file_and_no_statement() -> None:
    with unloaded() as (account, bucket, root):
        (part,) = SnowflakeUnloader(account).write(Cut("purchases", ALL, EXPORTS["purchases"], 0, "0"), root)

    assert account.statements == []
    assert pl.read_parquet(bucket.objects[f"shop/2026-11-01/{part.path}"]).shape == (0, 6)


class Fetching:
    """A session whose results come through the cursor."""

    def cursor(self) -> Fetching:
        return self

    def execute(self, command: str) -> None:
        assert command.startswith("select ")

    def fetch_arrow_batches(self) -> Iterator[Any]:
        for content in FILES.values():
            frame = pl.read_parquet(content)
            times = pl.col("purchased_at").cast(pl.Int64).cast(pl.Datetime("us"))
            yield frame.with_columns(times, pl.col("price_cents").cast(pl.Int64)).to_arrow()


def test_into_a_folder_the_rows_come_through_the_cursor(tmp_path: Path) -> None:
    with folder_root(tmp_path / "exports") as root:
        (part,) = SnowflakeUnloader(Fetching()).write(OCTOBER, root)  # type: ignore[arg-type]
        assert pl.read_parquet(root.scratch / part.path)["purchased_at"].dtype == pl.Datetime("us")

    assert part.rows == 3


def test_training_reads_decimals_and_files_written_in_parallel_in_the_order_of_the_contract(tmp_path: Path) -> None:
    written_exports(tmp_path)
    with unloaded() as (account, bucket, root):
        parts = SnowflakeUnloader(account).write(OCTOBER, root)
    _put(tmp_path, parts, bucket)

    purchases = read_exports(tmp_path).purchases

    assert purchases.schema == written_exports(tmp_path / "other").purchases.schema
    assert purchases["order_id"].to_list() == ["o1", "o2", "o3"]
    assert purchases["purchased_at"].to_list()[-1] == datetime(2026, 10, 1, 11)


def _put(folder: Path, parts: tuple[Part, ...], bucket: Bucket) -> None:
    for part in parts:
        (folder / part.path).write_bytes(bucket.objects[f"shop/2026-11-01/{part.path}"])
    body = json.loads((folder / MANIFEST).read_text())
    body["files"]["purchases"] = asdict(exported_file(EXPORTS["purchases"], parts))
    body |= {"data_from": "2026-10-01T09:00:00", "data_until": "2026-10-01T11:00:00"}
    (folder / MANIFEST).write_text(json.dumps(body))
