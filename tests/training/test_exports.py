"""Exports are read whole or refused by file and reason."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from recommender.contracts.exports import EXPORTS
from recommender.errors import ArtifactRefused

from tests.training.small_exports import small_exports, written_exports
from training_jobs.exports import MANIFEST, READ_BY_JOBS, read_exports, write_exports


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
    path = tmp_path / "b" / "purchases" / "v1" / "part-0.parquet"
    changed = pl.read_parquet(path).head(-1)
    changed.write_parquet(path)
    files = json.loads((tmp_path / "b" / MANIFEST).read_text())["files"]
    files["purchases"] |= {"rows": changed.height, "sha256": _sha256(path)}
    change_manifest(tmp_path / "b", files=files)

    assert first == same
    assert read_exports(tmp_path / "b").data_hash != first


def test_times_with_a_zone_become_naive_utc(tmp_path: Path) -> None:
    written_exports(tmp_path)
    change_manifest(tmp_path, data_until="2026-11-01T02:00:00+02:00")

    assert read_exports(tmp_path).data_until == datetime(2026, 11, 1)


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
    files = json.loads((tmp_path / MANIFEST).read_text())["files"]
    files["items"]["sha256"] = _sha256(path)
    change_manifest(tmp_path, files=files)

    with pytest.raises(ArtifactRefused, match="lacks the columns brand"):
        read_exports(tmp_path)


def test_an_export_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    written_exports(tmp_path)
    change_manifest(tmp_path, files={})

    with pytest.raises(ArtifactRefused, match="does not list purchases"):
        read_exports(tmp_path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _in_two_parts(root: Path) -> dict[str, dict[str, Any]]:
    """The purchases of a written export, cut in two files as the warehouse cuts them by month."""
    written_exports(root)
    files: dict[str, dict[str, Any]] = json.loads((root / MANIFEST).read_text())["files"]
    frame = pl.read_parquet(root / "purchases" / "v1" / "part-0.parquet")
    parts = []
    for name, rows in (("2026-01", frame.head(5)), ("2026-02", frame.tail(-5))):
        path = root / "purchases" / "v1" / f"{name}.parquet"
        rows.write_parquet(path)
        parts.append({"rows": rows.height, "sha256": _sha256(path), "path": str(path.relative_to(root))})
    files["purchases"] = {"rows": frame.height, "sha256": "of the parts", "parts": parts}
    change_manifest(root, files=files)
    return files


def test_parts_are_read_as_one_frame(tmp_path: Path) -> None:
    _in_two_parts(tmp_path)

    assert read_exports(tmp_path).purchases.equals(small_exports().purchases)


def test_an_altered_or_a_left_out_part_is_refused(tmp_path: Path) -> None:
    files = _in_two_parts(tmp_path)
    whole = files["purchases"]["parts"]
    change_manifest(tmp_path, files={**files, "purchases": {**files["purchases"], "parts": whole[:1]}})
    with pytest.raises(ArtifactRefused, match="purchases has 5 rows in 1 parts"):
        read_exports(tmp_path)

    change_manifest(tmp_path, files=files)
    (tmp_path / "purchases" / "v1" / "2026-02.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactRefused, match=r"2026-02\.parquet has another SHA-256"):
        read_exports(tmp_path)
