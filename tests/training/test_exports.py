"""Exports are read whole or refused by file and reason."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from recommender.contracts.exports import ALL, EXPORTS, MANIFEST, Part, exported_file
from recommender.errors import ArtifactRefused

from tests.training.small_exports import START, small_exports, written_exports
from training_jobs.environment import Freshness
from training_jobs.exports import READ_BY_JOBS, Exports, read_exports, write_exports


def change_manifest(root: Path, **entries: object) -> None:
    body = json.loads((root / MANIFEST).read_text())
    (root / MANIFEST).write_text(json.dumps({**body, **entries}))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    exports = written_exports(tmp_path)

    expected = small_exports()
    for name in READ_BY_JOBS:
        assert getattr(exports, name).equals(getattr(expected, name))
        assert tuple(getattr(exports, name).columns) == tuple(column for column, _ in EXPORTS[name])
    assert (exports.data_from, exports.data_until) == (expected.data_from, expected.data_until)
    assert exports.derived


def test_reviews_are_read_where_a_shop_has_them(tmp_path: Path) -> None:
    plain = small_exports()
    reviewed = replace(plain, items=plain.items.with_columns(pl.lit("Tastes of summer").alias("reviews")))

    write_exports(tmp_path, reviewed, source="test", created_at=plain.data_until)

    assert read_exports(tmp_path).items["reviews"].unique().to_list() == ["Tastes of summer"]
    assert "reviews" not in plain.items.columns


def test_item_ids_are_sorted_as_bytes(tmp_path: Path) -> None:
    ids = written_exports(tmp_path).item_ids.tolist()

    assert ids == sorted(ids)
    assert len(ids) == 4 * 3
    assert ids[0] == b"app-l"


def test_the_data_hash_follows_the_data(tmp_path: Path) -> None:
    first = written_exports(tmp_path / "a").data_hash
    same = written_exports(tmp_path / "b").data_hash
    _write_parts(tmp_path / "b", all=small_exports().purchases.head(-1))

    assert first == same
    assert read_exports(tmp_path / "b").data_hash != first


def test_times_with_a_zone_become_naive_utc(tmp_path: Path) -> None:
    written_exports(tmp_path)
    change_manifest(tmp_path, data_until="2026-10-29T02:00:00+02:00")

    assert read_exports(tmp_path).data_until == datetime(2026, 10, 29)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match=r"manifest\.json cannot be read"):
        read_exports(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"files": {}}'])
def test_a_manifest_that_is_not_one_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)

    with pytest.raises(ArtifactRefused, match=r"manifest\.json"):
        read_exports(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    written_exports(tmp_path)
    (tmp_path / "items" / "v1" / "part-0.parquet").unlink()

    with pytest.raises(ArtifactRefused, match=r"part-0\.parquet does not exist"):
        read_exports(tmp_path)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    written_exports(tmp_path)
    path = tmp_path / "purchases" / "v1" / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(ArtifactRefused, match="altered or cut"):
        read_exports(tmp_path)


def test_a_lost_column_is_refused_by_name(tmp_path: Path) -> None:
    written_exports(tmp_path)
    path = tmp_path / "items" / "v1" / "part-0.parquet"
    pl.read_parquet(path).drop("brand").write_parquet(path)
    part = Part(ALL, 12, _sha256(path), "items/v1/part-0.parquet")
    change_files(tmp_path, items=asdict(exported_file(EXPORTS["items"], (part,))))

    with pytest.raises(ArtifactRefused, match="lacks the columns brand"):
        read_exports(tmp_path)


def test_an_export_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    written_exports(tmp_path)
    change_manifest(tmp_path, files={})

    with pytest.raises(ArtifactRefused, match="does not list purchases"):
        read_exports(tmp_path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change_files(root: Path, **entries: object) -> None:
    files = json.loads((root / MANIFEST).read_text())["files"]
    change_manifest(root, files={**files, **entries})


def _write_parts(root: Path, **frames: pl.DataFrame) -> list[Part]:
    """The purchases below `root`, one file a month as the warehouse writes them, and a manifest that says so."""
    parts = []
    for name, rows in frames.items():
        month = name.removeprefix("m").replace("_", "-")
        path = root / "purchases" / "v1" / f"{month}.parquet"
        rows.write_parquet(path)
        parts.append(Part(month, rows.height, _sha256(path), path.relative_to(root).as_posix()))
    _list_parts(root, parts)
    return parts


def _list_parts(root: Path, parts: list[Part]) -> None:
    change_files(root, purchases=asdict(exported_file(EXPORTS["purchases"], tuple(parts))))


def _two_months(root: Path) -> tuple[Exports, list[Part]]:
    """The small shop, the first five of its order lines a month earlier, in two parts."""
    plain = small_exports()
    early = plain.purchases.head(5).with_columns(pl.col("purchased_at").dt.offset_by("-1mo"))
    exports = replace(plain, data_from=datetime(2026, 9, 1), purchases=pl.concat([early, plain.purchases.slice(5)]))
    write_exports(root, exports, source="test", created_at=plain.data_until)
    return exports, _write_parts(root, m2026_09=early, m2026_10=plain.purchases.slice(5))


def test_parts_are_read_as_one_frame(tmp_path: Path) -> None:
    exports, _ = _two_months(tmp_path)

    assert read_exports(tmp_path).purchases.equals(exports.purchases)


def test_an_altered_part_is_refused(tmp_path: Path) -> None:
    _two_months(tmp_path)
    (tmp_path / "purchases" / "v1" / "2026-10.parquet").write_bytes(b"PAR1")

    with pytest.raises(ArtifactRefused, match=r"2026-10\.parquet has another SHA-256"):
        read_exports(tmp_path)


def test_a_left_out_a_moved_or_a_doubled_part_is_refused(tmp_path: Path) -> None:
    _, parts = _two_months(tmp_path)
    body = json.loads((tmp_path / MANIFEST).read_text())["files"]["purchases"]

    change_files(tmp_path, purchases={**body, "parts": body["parts"][:1]})
    with pytest.raises(ArtifactRefused, match="lists purchases with 70 rows, but its parts have 5"):
        read_exports(tmp_path)

    change_files(tmp_path, purchases={**body, "parts": body["parts"][::-1]})
    with pytest.raises(ArtifactRefused, match="not that of its parts 2026-10, 2026-09"):
        read_exports(tmp_path)

    _list_parts(tmp_path, [*parts, parts[0]])
    with pytest.raises(ArtifactRefused, match="lists a part of purchases twice: path purchases/v1/2026-09"):
        read_exports(tmp_path)

    _list_parts(tmp_path, [*parts, replace(parts[0], path="purchases/v1/again.parquet")])
    with pytest.raises(ArtifactRefused, match="lists a part of purchases twice: sha256"):
        read_exports(tmp_path)


def test_a_part_with_rows_of_another_month_is_refused(tmp_path: Path) -> None:
    _, (early, late) = _two_months(tmp_path)
    _list_parts(tmp_path, [early, replace(late, partition="2026-11")])

    with pytest.raises(ArtifactRefused, match=r"has rows from 2026-10-03 .* but manifest\.json lists it as 2026-11"):
        read_exports(tmp_path)


@pytest.mark.parametrize(
    "window",
    [
        {"data_until": "2026-10-27T00:00:00"},  # there are purchases after it
        {"data_until": "2026-11-28T00:00:00"},  # it promises a month that is not there
        {"data_from": "2026-09-01T00:00:00"},
        {"data_from": "2026-10-02T00:00:00"},
    ],
)
def test_a_window_that_is_not_that_of_the_purchases_is_refused(tmp_path: Path, window: dict[str, str]) -> None:
    written_exports(tmp_path)
    change_manifest(tmp_path, **window)

    with pytest.raises(ArtifactRefused, match="but the purchases are 2026-10-01 09:00:00 to 2026-10-28 09:00:00"):
        read_exports(tmp_path)


def test_data_older_than_asked_are_refused_and_both_days_named(tmp_path: Path) -> None:
    written_exports(tmp_path)  # until 29 October

    assert read_exports(tmp_path, Freshness(date(2026, 11, 1), max_age_days=3)).purchases.height > 0
    with pytest.raises(ArtifactRefused, match=r"end on 2026-10-29, expected 2026-10-30 .* 3 days before 2026-11-02"):
        read_exports(tmp_path, Freshness(date(2026, 11, 2), max_age_days=3))


def test_a_manifest_of_an_unknown_version_or_with_a_path_outside_is_refused(tmp_path: Path) -> None:
    _, (early, late) = _two_months(tmp_path)
    _list_parts(tmp_path, [replace(early, path="../early.parquet"), late])
    with pytest.raises(ArtifactRefused, match=r"lists \.\./early\.parquet, expected a path below"):
        read_exports(tmp_path)

    change_manifest(tmp_path, version=3)
    with pytest.raises(ArtifactRefused, match=r"is of version 3, expected \(1, 2\)"):
        read_exports(tmp_path)


def test_an_export_without_purchases_is_refused(tmp_path: Path) -> None:
    plain = small_exports()
    write_exports(tmp_path, replace(plain, purchases=plain.purchases.clear()), source="test", created_at=START)

    with pytest.raises(ArtifactRefused, match="has no purchases"):
        read_exports(tmp_path)
