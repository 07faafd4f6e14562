"""Exports of days on S3: a night uploads what changed, a reader never sees half, a rerun repairs what broke off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from recommender.contracts.events import EventItem, to_record
from recommender.contracts.exports import MANIFEST, ExportManifest, Part, read_whole_export
from recommender.errors import Conflict

from tests.warehouse.shop import at, deliver, deliver_items, event, order_line, rows_of
from warehouse.__main__ import main
from warehouse.connect import DATABASE_FILES, Warehouse, open_local
from warehouse.day.day import run_day
from warehouse.day.schedule import export_to, load_landed
from warehouse.export.export_store import Root, earlier_days, remove_old_days, s3_root
from warehouse.export.parts import Cut
from warehouse.export.unload import unload, unload_to

NOW = at("2026-01-03T03:00:00")
BUCKET = "exports"


class Counting:
    """A boto3 client that tells what it was asked to write, and breaks at a wish."""

    def __init__(self, s3: Any, *, breaks_at: int = -1) -> None:
        self._s3, self._breaks_at = s3, breaks_at
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._s3, name)
        if name not in ("upload_file", "copy", "put_object", "delete_object"):
            return found

        def call(*args: Any, **options: Any) -> Any:
            if len(self.calls) == self._breaks_at:
                raise ConnectionError("the network is gone")
            self.calls.append(name)
            return found(*args, **options)

        return call

    def count(self, name: str) -> int:
        return self.calls.count(name)


@pytest.fixture
def s3(aws_environment: dict[str, str]) -> Iterator[Any]:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield client
    client.close()


@pytest.fixture(scope="session")
def sold(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tea is bought in November, December and January."""
    folder = tmp_path_factory.mktemp("sold")
    shutil.copy(empty_database, folder)
    days = ("2025-11-20T08:00:00", "2025-12-20T08:00:00", "2026-01-02T08:00:00")
    lines = [order_line(f"o{number}", "tea", day) for number, day in enumerate(days)]
    with open_local(folder) as warehouse:
        deliver_items(warehouse, "tea")
        deliver(warehouse, "purchases", lines, loaded_at="2026-01-03T02:00:00")
        run_day(warehouse.connection, date(2026, 1, 3))
    return folder / DATABASE_FILES[0]


@pytest.fixture
def shop(sold: Path, tmp_path: Path) -> Iterator[Warehouse]:
    (tmp_path / "shop").mkdir()
    shutil.copy(sold, tmp_path / "shop")
    with open_local(tmp_path / "shop") as warehouse:
        yield warehouse


def buy(shop: Warehouse, order_id: str, when: str) -> None:
    """As a run leaves it in the mart."""
    line = f"'{order_id}', 'tea', 'ben', '{when}', 1, 200, 0, '2026-01-04 02:00:00'"
    rows_of(shop, f"insert into marts.order_lines select {line}")


def read_from(s3: Any, prefix: str, folder: Path) -> ExportManifest:
    """Everything below the prefix as a SageMaker channel downloads it, checked as the warehouse checks a folder."""
    for key in keys(s3, prefix):
        path = folder / key.removeprefix(f"{prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(BUCKET, key, str(path))
    return read_whole_export(folder)


def keys(s3: Any, prefix: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])]


def months(manifest: ExportManifest) -> dict[str, str]:
    return {part.partition: part.path for part in manifest.files["purchases"].parts}


def test_a_day_goes_from_landed_events_to_exports_on_s3(warehouse: Warehouse, s3: Any, tmp_path: Path) -> None:
    deliver_items(warehouse, "tea")
    bought = event("e1", "purchase", "2026-01-02T10:00:00", EventItem("tea", 2, 150), transaction_id="o1")
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "batch.jsonl").write_text(json.dumps(to_record(bought)) + "\n")
    client = Counting(s3)

    assert load_landed(warehouse.connection, str(tmp_path / "landing"), loaded_at=NOW) == 1
    run_day(warehouse.connection, date(2026, 1, 3))
    target = export_to(warehouse, "s3://exports/shop/2026-01-03", now=NOW, s3=client)

    assert target == "s3://exports/shop/2026-01-03"
    assert client.calls[-1] == "put_object"  # the manifest, after everything else
    manifest = read_from(s3, "shop/2026-01-03", tmp_path / "read")
    assert (manifest.files["purchases"].rows, manifest.derived) == (1, False)


def test_the_next_night_uploads_the_months_that_changed_and_lets_s3_copy_the_others(
    shop: Warehouse, s3: Any, tmp_path: Path
) -> None:
    export_to(shop, "s3://exports/shop/2026-01-03", now=NOW, s3=s3)
    before = read_from(s3, "shop/2026-01-03", tmp_path / "before")
    buy(shop, "o4", "2025-12-21T08:00:00")
    night = Counting(s3)

    export_to(shop, "s3://exports/shop/2026-01-04", now=NOW, s3=night)

    after = read_from(s3, "shop/2026-01-04", tmp_path / "after")
    assert {month for month in months(after) if months(after)[month] != months(before)[month]} == {"2025-12"}
    assert (night.count("upload_file"), night.count("copy")) == (1, len(after.parts) - 1)
    assert read_from(s3, "shop/2026-01-03", tmp_path / "still") == before
    assert after == unload(shop.connection, shop.unloader, tmp_path / "full", source="shop", now=NOW, full=True)

    again, whole = Counting(s3), Counting(s3)
    export_to(shop, "s3://exports/shop/2026-01-04", now=NOW, s3=again)
    assert again.calls == ["put_object"]
    export_to(shop, "s3://exports/shop/2026-01-04", now=NOW, s3=whole, full=True)
    assert whole.count("upload_file") == len(after.parts)
    assert read_from(s3, "shop/2026-01-04", tmp_path / "last") == after


@pytest.mark.parametrize("breaks_at", [1, 7, 12])
def test_a_night_that_breaks_off_has_no_manifest_and_the_rerun_leaves_no_litter(
    shop: Warehouse, s3: Any, tmp_path: Path, breaks_at: int
) -> None:
    export_to(shop, "s3://exports/shop/2026-01-03", now=NOW, s3=s3)
    buy(shop, "o4", "2025-12-21T08:00:00")
    with pytest.raises(ConnectionError):
        export_to(shop, "s3://exports/shop/2026-01-04", now=NOW, s3=Counting(s3, breaks_at=breaks_at))
    assert f"shop/2026-01-04/{MANIFEST}" not in keys(s3, "shop/2026-01-04")
    buy(shop, "o5", "2025-12-22T08:00:00")  # December's part of the first attempt is of no use now

    export_to(shop, "s3://exports/shop/2026-01-04", now=NOW, s3=s3)

    manifest = read_from(s3, "shop/2026-01-04", tmp_path / "read")
    assert len(keys(s3, "shop/2026-01-04")) == len(manifest.parts) + 1
    assert manifest.files["purchases"].rows == 5


def test_an_erased_shopper_is_gone_from_the_day_that_is_exported_again(
    shop: Warehouse, s3: Any, tmp_path: Path
) -> None:
    export_to(shop, "s3://exports/shop/2026-01-03", now=NOW, s3=s3)
    rows_of(shop, "delete from marts.order_lines where order_id = 'o1'")

    export_to(shop, "s3://exports/shop/2026-01-03", now=NOW, s3=s3)

    manifest = read_from(s3, "shop/2026-01-03", tmp_path / "read")
    assert list(months(manifest)) == ["2025-11", "2026-01"]
    assert [key for key in keys(s3, "shop/2026-01-03/purchases") if "2025-12" in key] == []


class Tidied:
    """While an export is written another one to the same prefix is done, and deletes what it does not list."""

    def __init__(self, shop: Warehouse, s3: Any) -> None:
        self._shop, self._s3 = shop, s3

    def write(self, cut: Cut, root: Root) -> tuple[Part, ...]:
        parts = self._shop.unloader.write(cut, root)
        if cut.name == "purchases":
            self._s3.delete_object(Bucket=BUCKET, Key=f"shop/2026-01-03/{parts[0].path}")
        return parts


def test_of_two_exports_to_one_prefix_the_second_does_not_claim_to_be_whole(shop: Warehouse, s3: Any) -> None:
    with (
        s3_root(s3, "s3://exports/shop/2026-01-03") as root,
        pytest.raises(Conflict, match="is gone: another export to s3://exports/shop/2026-01-03 is at work"),
    ):
        unload_to(shop.connection, Tidied(shop, s3), root, source="shop", now=NOW)

    assert f"shop/2026-01-03/{MANIFEST}" not in keys(s3, "shop/2026-01-03")


def test_an_export_that_lost_a_part_is_not_built_upon(shop: Warehouse, s3: Any, tmp_path: Path) -> None:
    export_to(shop, "s3://exports/shop/2026-01-03", now=NOW, s3=s3)
    s3.delete_object(Bucket=BUCKET, Key=keys(s3, "shop/2026-01-03/purchases")[0])
    night = Counting(s3)

    export_to(shop, "s3://exports/shop/2026-01-04", now=NOW, s3=night)

    assert night.count("copy") == 0
    assert read_from(s3, "shop/2026-01-04", tmp_path).files["purchases"].rows == 3


def test_folders_of_days_share_files_and_go_after_two_weeks(shop: Warehouse, tmp_path: Path) -> None:
    for day in ("2026-01-03", "2026-01-04", "2026-01-17", "2026-01-18"):
        export_to(shop, str(tmp_path / "days" / day), now=NOW)
    (tmp_path / "days" / "2020-01-01").mkdir()  # no export: not ours to delete

    first, second = (tmp_path / "days" / day for day in ("2026-01-04", "2026-01-18"))
    path = read_whole_export(second).parts[0].path
    assert (first / path).stat().st_ino == (second / path).stat().st_ino
    assert sorted(entry.name for entry in (tmp_path / "days").iterdir()) == [
        "2020-01-01",
        "2026-01-04",
        "2026-01-17",
        "2026-01-18",
    ]
    assert remove_old_days(tmp_path / "days" / "2026-02-18") == ["2026-01-04", "2026-01-17", "2026-01-18"]


def test_only_days_are_looked_at_and_only_earlier_ones() -> None:
    others = ["2026-01-05", "2026-01-02", "quality", "2026-01-03", "2026-01-0x"]

    assert earlier_days("2026-01-04", others) == ["2026-01-03", "2026-01-02"]
    assert earlier_days("exports", others) == []


def test_the_command_exports_and_says_where(sold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop").mkdir()
    shutil.copy(sold, tmp_path / "shop")
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("anna")
    place = str(tmp_path / "days" / "2026-01-03")

    assert main(["export", "--database", str(tmp_path / "shop"), "--exports", place, "--full"]) == 0
    assert main(["export", "--database", str(tmp_path / "shop"), "--exports", str(letters)]) == 1

    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert (said["exports"], said["rows"]["purchases"], said["data_until"]) == (place, 3, "2026-01-02T08:00:00")
    assert "letters is not an export and would be replaced" in printed.err
    assert read_whole_export(Path(place)).files["purchases"].rows == 3
