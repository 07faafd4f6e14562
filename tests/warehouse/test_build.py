"""The build as a command: whole, then a no-op; interrupted, then anew; landed events in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from recommender.contracts.events import EventItem, to_record
from recommender.contracts.exports import read_whole_export
from recommender.errors import DependencyDown

from tests.warehouse.shop import event
from training_jobs.content_bert.data import catalogue_texts
from training_jobs.exports import read_exports
from warehouse.__main__ import main
from warehouse.build import BUILT, Paths, Plan, build
from warehouse.connect import open_local

PLAN = Plan("generated", shoppers=15, items=40, days=8, seed=5)
NOW = datetime(2026, 3, 2, 12)


def run(paths: Paths, *, plan: Plan = PLAN, rebuild: bool = False) -> dict[str, Any]:
    return build(plan, paths, now=NOW, rebuild=rebuild, on_step=lambda step: None)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, dict[str, Any]]:
    root = tmp_path_factory.mktemp("built")
    paths = Paths(root / "database", root / "exports", root / "landing")
    return paths, run(paths)


@pytest.fixture
def paths(built: tuple[Paths, dict[str, Any]]) -> Paths:
    return built[0]


def test_a_build_runs_the_bulk_and_three_days_and_exports(built: tuple[Paths, dict[str, Any]]) -> None:
    paths, summary = built

    days = ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    assert [increment["day"] for increment in summary["increments"]] == days
    rows = summary["rows"]
    assert rows["raw"]["purchases"] == rows["marts"]["order_lines"] == rows["exports"]["purchases"] > 0
    assert rows["raw"]["events"] == rows["marts"]["session_events"] == rows["exports"]["session_events"] > 0
    assert read_whole_export(paths.exports).derived


def test_what_shoppers_wrote_is_in_the_text_that_the_content_model_reads(
    built: tuple[Paths, dict[str, Any]],
) -> None:
    paths, summary = built
    exports = read_exports(paths.exports)
    items, reviews = exports.items, pl.read_parquet([str(path) for path in paths.exports.glob("reviews/**/*.parquet")])
    read = catalogue_texts(exports).by_item(exports.item_ids.tolist())
    reviewed = reviews.group_by("item_id").agg("text")

    rows = summary["rows"]
    assert rows["raw"]["reviews"] == rows["marts"]["reviews"] == rows["exports"]["reviews"] == reviews.height > 0
    assert items["reviews"].is_not_null().sum() == reviewed.height
    # A text counts where it has at least four words that the item's other fields have not.
    told = [item for item, texts in reviewed.iter_rows() if any(text in read[item] for text in texts)]
    assert len(told) > 0.7 * reviewed.height


def test_a_second_build_does_nothing(paths: Paths) -> None:
    before = (paths.database / BUILT).stat().st_mtime_ns

    assert run(paths)["did"] == "nothing"
    assert (paths.database / BUILT).stat().st_mtime_ns == before


def test_landed_events_come_back_with_the_next_build(paths: Paths) -> None:
    assert paths.landing is not None
    record = to_record(event("live-1", "view_item", "2026-03-02T11:00:00", EventItem("i00001"), session_id="live"))
    paths.landing.mkdir()
    (paths.landing / "batch.jsonl").write_text(json.dumps(record) + "\n")

    first, second = run(paths), run(paths)

    assert (first["did"], first["landed"]["events"]) == ("increment", 1)
    assert (second["did"], second["landed"]["events"]) == ("nothing", 0)
    assert first["rows"]["exports"]["session_events"] == first["rows"]["raw"]["events"]


def test_another_plan_has_another_fingerprint() -> None:
    assert Plan("generated", seed=1).fingerprint() == Plan("generated", seed=1).fingerprint()
    assert Plan("generated", seed=1).fingerprint() != Plan("generated", seed=2).fingerprint()


def test_an_altered_export_is_built_anew_and_an_interrupted_build_is_not_trusted(paths: Paths) -> None:
    path = paths.exports / read_whole_export(paths.exports).files["items"].parts[0].path
    path.write_bytes(path.read_bytes()[:-1])
    steps: list[str] = []

    def interrupt(step: str) -> None:
        steps.append(step)
        if len(steps) == 15:  # after the bulk, in the first increment
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(PLAN, paths, now=NOW, rebuild=False, on_step=interrupt)
    assert not (paths.database / BUILT).exists()

    assert run(paths)["did"] == "build"
    assert run(paths)["did"] == "nothing"


def test_the_command_prints_one_json_line(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--shoppers", "15", "--items", "40", "--days", "8", "--seed", "5", "--today", "2026-03-02"]
    folders = ["--database", str(paths.database), "--exports", str(paths.exports)]

    assert main(["build", "--source", "generated", *folders, *sizes]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["did"] == "nothing"


def test_a_database_in_use_is_one_clear_sentence(paths: Paths, tmp_path: Path) -> None:
    file = str(tmp_path / "RECOMMENDER.db")
    holder = f"import duckdb, time; c = duckdb.connect({file!r}); print('held', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(DependencyDown, match="in use by another process"), open_local(tmp_path):
            pass
    finally:
        child.kill()
        child.communicate()


def test_a_full_or_forbidden_place_is_one_sentence_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    folders = [
        "--database",
        str(tmp_path / "file" / os.pardir / "file" / "database"),
        "--exports",
        str(tmp_path / "exports"),
    ]

    assert main(["build", "--source", "generated", *folders]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("warehouse: ")
