"""A command deletes or overwrites what we have made, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recommender.contracts.folders import (
    DATABASE,
    HISTORY,
    KINDS,
    MARKER,
    REJECTS,
    REPORT,
    STATE,
    TEMPLATES,
    Kind,
    claim,
    discard,
    fresh,
    is_ours,
    require,
    write_over,
)
from recommender.errors import Conflict, NotFound

from warehouse.connect import DATABASE_FILES


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Somebody's folder."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("three years")
    return folder


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_folder_that_holds_something_else_is_neither_claimed_nor_emptied_nor_deleted(
    kind: Kind, precious: Path
) -> None:
    with pytest.raises(Conflict, match=r"precious holds thesis\.txt and has no \.recommender-folder\.json, expected a"):
        claim(precious, kind)
    with pytest.raises(Conflict):
        fresh(precious, kind)
    with pytest.raises(Conflict, match="precious is not ours"):
        discard(precious, kind)
    assert {path.name for path in precious.iterdir()} == {"thesis.txt"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_folder_that_we_made_is_written_again_emptied_and_deleted(kind: Kind, tmp_path: Path) -> None:
    folder = claim(tmp_path / "made" / "here", kind)
    (folder / "result.bin").write_bytes(b"x" * 1000)

    assert claim(folder, kind) == folder
    assert (folder / "result.bin").exists()
    assert [path.name for path in fresh(folder, kind).iterdir()] == [MARKER]
    (folder / "result.bin").write_bytes(b"x" * 1000)
    assert discard(folder, kind) == 1000 + len(json.dumps({"kind": kind.name}) + "\n")
    assert not folder.exists()


def test_an_empty_folder_becomes_ours(tmp_path: Path) -> None:
    assert is_ours(claim(tmp_path, REPORT), REPORT)


def test_a_folder_of_ours_is_not_taken_for_one_of_another_kind(tmp_path: Path) -> None:
    claim(tmp_path / "state", STATE)
    with pytest.raises(Conflict, match="marked as a state folder of the local run, expected a report"):
        claim(tmp_path / "state", REPORT)
    with pytest.raises(Conflict):
        discard(tmp_path / "state", REPORT)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="typo is not there, expected a state folder"):
        require(tmp_path / "typo", STATE)


def test_a_file_is_no_folder(precious: Path) -> None:
    with pytest.raises(Conflict, match="is a file, expected a folder for a report"):
        claim(precious / "thesis.txt", REPORT)


def test_links_are_deleted_and_what_they_lead_to_is_not(tmp_path: Path, precious: Path) -> None:
    state = claim(tmp_path / "state", STATE)
    (state / "link").symlink_to(precious)
    discard(state, STATE)
    assert (precious / "thesis.txt").exists()

    real = claim(tmp_path / "real", STATE)
    (tmp_path / "link").symlink_to(real)
    for delete in (discard, fresh):
        with pytest.raises(Conflict, match=r"link is a link to .*real; name the state folder of the local run itself"):
            delete(tmp_path / "link", STATE)
    assert real.is_dir()


def test_a_marker_that_is_a_link_or_says_nothing_marks_nothing(tmp_path: Path, precious: Path) -> None:
    claim(tmp_path / "state", STATE)
    (precious / MARKER).symlink_to(tmp_path / "state" / MARKER)
    assert not is_ours(precious, STATE)
    (precious / MARKER).unlink()
    for text in ("", "[]", '{"kind": 3}', "no json"):
        (precious / MARKER).write_text(text)
        assert not is_ours(precious, STATE)


OLD = (  # kind, what lies in a folder that the version before has made
    (STATE, {"lock": "", "steps/warehouse.json": '{"fingerprint": "ab"}'}),
    (STATE, {"lock": "", "steps/warehouse.begun": "ab", "logs/warehouse.log": "…"}),
    (STATE, {"lock": "", "keys.json": '{"signing_secret": "ab"}'}),
    (DATABASE, {DATABASE_FILES[0]: "12345678DUCK"}),
    (REPORT, {"report.html": "<p>", "purchases.json": '{"benchmark": "purchases"}'}),
    (REPORT, {"report.html": "<p>", "report.json": '{"may_claim": []}'}),
    (REPORT, {"report.html": "<p>", "metrics.json": '{"methods": {}}'}),
    (REPORT, {"quality.html": "<p>", "quality.json": '{"findings": []}'}),
    (HISTORY, {"items_2026-01-01_2026-02-01.parquet": "PAR1"}),
    (REJECTS, {"orders.csv.rejects.csv": "rejected_row,rejected_reason,order_id"}),
    (TEMPLATES, {"cdk.out": '{"version": "50"}', "manifest.json": '{"artifacts": {}}'}),
)


@pytest.mark.parametrize(("kind", "files"), OLD)
def test_a_folder_of_the_version_before_is_known_by_what_lies_in_it(
    kind: Kind, files: dict[str, str], tmp_path: Path
) -> None:
    lay(files, tmp_path)

    assert [known for known in KINDS if is_ours(tmp_path, known)] == [kind]
    claim(tmp_path, kind)
    assert (tmp_path / MARKER).is_file()


@pytest.mark.parametrize(("kind", "files"), OLD)
def test_somebodys_files_of_the_same_names_are_not_taken_for_ours(
    kind: Kind, files: dict[str, str], tmp_path: Path
) -> None:
    lay({name: "[1, 2]" for name in files if not name.endswith(".begun")}, tmp_path)

    assert not is_ours(tmp_path, kind)
    with pytest.raises(Conflict):
        claim(tmp_path, kind)


def lay(files: dict[str, str], folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_warehouse_that_was_loaded_before_the_first_run_is_no_hindrance(tmp_path: Path) -> None:
    claim(tmp_path / "mine" / "warehouse", DATABASE)
    assert is_ours(claim(tmp_path / "mine", STATE), STATE)

    (tmp_path / "other" / "warehouse").mkdir(parents=True)
    (tmp_path / "other" / "warehouse" / "stock.xlsx").write_text("theirs")
    with pytest.raises(Conflict, match="holds warehouse"):
        claim(tmp_path / "other", STATE)


def test_a_page_replaces_its_older_version_and_no_other_file(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_over(page, "# Benchmarks\none\n")
    write_over(page, "# Benchmarks\ntwo\n")
    assert page.read_text() == "# Benchmarks\ntwo\n"
    page.write_text("# My notes\n")
    with pytest.raises(Conflict, match=r"page\.md does not begin with '# Benchmarks'"):
        write_over(page, "# Benchmarks\nthree\n")
    assert page.read_text() == "# My notes\n"
