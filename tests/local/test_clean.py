"""`clean`, and every command that names a folder: what is not ours is refused in one sentence, what went is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from recommender.contracts.folders import MARKER, REPORT, STATE, TEMPLATES, claim

from local.aws.processes import StateLock
from local.clean import clean, clean_checkout
from local.settings import PACKAGE, ROOT, LocalRunError, StateFolder
from tests.local.test_experiment_report import EDGES


def command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(PACKAGE))), "CDK_OUTDIR": ""}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    folder = tmp_path / "precious"
    folder.mkdir()
    for name in ("thesis.txt", "keys.json", "lock", "manifest.json", "built.json", "report.html"):
        (folder / name).write_text("three years")
    return folder


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """What a run has left."""
    state = StateFolder(tmp_path / "state")
    with StateLock(state.root):
        state.steps.mkdir()
        (state.steps / "warehouse.json").write_text("{}")
        state.warehouse.mkdir()
        (state.warehouse / "RECOMMENDER.db").write_bytes(b"x" * 2_500_000)
    return state


def untouched(folder: Path) -> bool:
    return {path.read_text() for path in folder.iterdir()} == {"three years"} and len(list(folder.iterdir())) == 6


def test_clean_refuses_a_folder_that_no_run_has_made(precious: Path) -> None:
    done = command("-m", "local", "clean", "--state-dir", str(precious))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"{precious} is not ours: it has no {MARKER}, expected a state folder of the local run." in done.stderr
    assert untouched(precious)


def test_clean_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = command("-m", "local", "clean", "--state-dir", str(tmp_path / "typo"))

    said = f"{tmp_path / 'typo'} is not there, expected a state folder of the local run.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_clean_deletes_a_state_folder_and_says_what_went(state: StateFolder) -> None:
    done = command("-m", "local", "clean", "--state-dir", str(state.root))

    assert (done.returncode, done.stderr) == (0, "")
    assert f"deleted {state.warehouse} (2.5 MB)" in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == f"deleted {state.root} (2.5 MB)"
    assert not state.root.exists()


def test_clean_deletes_a_state_folder_of_the_version_before(state: StateFolder) -> None:
    (state.root / MARKER).unlink()
    assert command("-m", "local", "clean", "--state-dir", str(state.root)).returncode == 0
    assert not state.root.exists()


def test_clean_refuses_the_folder_of_a_running_stack(state: StateFolder) -> None:
    with StateLock(state.root):
        done = command("-m", "local", "clean", "--state-dir", str(state.root))

    assert (done.returncode, done.stderr) == (1, f"Another run uses {state.root}; stop it first.\n")
    assert (state.warehouse / "RECOMMENDER.db").exists()


def test_clean_keeps_what_a_user_has_put_beside_a_runs_files(state: StateFolder) -> None:
    (state.root / "orders.csv").write_text("theirs")

    assert list(clean(state.root))[-1] == f"kept    {state.root}: orders.csv is not of a run"
    assert sorted(path.name for path in state.root.iterdir()) == [MARKER, "orders.csv"]


def test_clean_follows_no_link(state: StateFolder, precious: Path, tmp_path: Path) -> None:
    shutil.rmtree(state.steps)
    state.steps.symlink_to(precious)
    link = tmp_path / "link"
    link.symlink_to(state.root)

    with pytest.raises(LocalRunError, match="is a link to"):
        list(clean(link))
    assert state.root.exists()
    list(clean(state.root))
    assert not state.root.exists()
    assert untouched(precious)


def test_clean_of_make_deletes_what_the_makefile_makes_and_nothing_beside_it(
    state: StateFolder, precious: Path, tmp_path: Path
) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    state.root.rename(root / ".local")
    claim(root / "cdk.out", TEMPLATES)
    claim(root / "reports" / "evaluation", REPORT)
    claim(root / "reports" / "experiments" / "exp_default", REPORT)
    shutil.copytree(precious, root / "reports" / "by hand")
    (root / ".build").symlink_to(precious)

    told = list(clean_checkout(root))

    assert f"kept    {root / 'reports' / 'by hand'}: it has no marker of ours" in told
    assert f"kept    {root / '.build'}: it is a link" in told
    assert {path.name for path in root.iterdir()} == {"reports", ".build"}
    assert [path.name for path in (root / "reports").iterdir()] == ["by hand"]
    assert untouched(precious)
    assert list(clean_checkout(tmp_path / "empty")) == []


# Every option that names a folder to write into; {} is the folder.
WRITES = {
    "run": ("-m", "local", "run", "--source", "generated", "--port", "0", "--state-dir", "{}"),
    "experiment report": ("-m", "local", "experiment", "report", "--file", "{report}", "--out", "{}"),
    "make mwaa": ("-m", "local.clean", "--fresh", "{}"),
    "warehouse build, database": (
        *("-m", "warehouse", "build", "--source", "generated", "--rebuild", "--exports", "{new}", "--database", "{}"),
    ),
    "warehouse export": ("-m", "warehouse", "export", "--database", "{database}", "--exports", "{}"),
    "warehouse generate, files": ("-m", "warehouse", "generate", "--events", "1000", "--days", "2", "--out", "{}"),
    "warehouse generate, database": (
        *("-m", "warehouse", "generate", "--events", "1000", "--days", "2", "--database", "{}"),
    ),
    "warehouse doctor": ("-m", "warehouse", "doctor", "--database", "{database}", "--out", "{}"),
    "load, database": ("-m", "warehouse.load", "--items", "{items}", "--database", "{}"),
    "load, rejects": ("-m", "warehouse.load", "--items", "{items}", "--database", "{new}", "--rejects-out", "{}"),
    "benchmarks": ("-m", "benchmarks.experiments", "--experiments", "1", "--out", "{}"),
    "benchmark of the warehouse": (
        "-m",
        "benchmarks.warehouse",
        "--events",
        "2000",
        "--days",
        "40",
        "--directory",
        "{}",
    ),
    "layers": ("layers/runtime/build.py", "--allow-no-bytecode", "--out", "{}"),
}
ON_AN_EXISTING_ONE = {
    "backfill": ("-m", "warehouse", "backfill", "--from", "2026-01-01", "--to", "2026-01-02", "--database", "{}"),
    "erase": ("-m", "warehouse", "erase", "--shopper", "anna", "--database", "{}"),
    "export": ("-m", "warehouse", "export", "--exports", "{new}", "--database", "{}"),
    "doctor": ("-m", "warehouse", "doctor", "--database", "{}"),
    "runs": ("-m", "warehouse", "runs", "--database", "{}"),
    "withdraw": (
        *("-m", "warehouse", "withdraw", "--table", "items", "--loaded-at", "2026-01-01", "--database", "{}"),
    ),
    "clean": ("-m", "local", "clean", "--state-dir", "{}"),
}


def filled(words: tuple[str, ...], folder: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "items.csv").write_text("item_id,title,category,price_cents\na,Tea,PANTRY > TEA,200\n")
    (tmp_path / "report.json").write_text(json.dumps(EDGES["no_event"][0]()))
    names = {"items": tmp_path / "items.csv", "report": tmp_path / "report.json", "new": tmp_path / "new"}
    if "{database}" in words:
        made = command("-m", "warehouse.load", "--items", str(names["items"]), "--database", str(tmp_path / "db"))
        assert made.returncode == 0, made.stderr
    return [word.format(folder, **names, database=tmp_path / "db") for word in words]


@pytest.mark.parametrize("case", WRITES)
def test_a_command_refuses_to_write_into_a_folder_that_is_somebodys_own(
    case: str, precious: Path, tmp_path: Path
) -> None:
    done = command(*filled(WRITES[case], precious, tmp_path))

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if str(precious) in line]
    assert "expected" in sentence or "would be replaced" in sentence
    assert untouched(precious)


@pytest.mark.parametrize("case", ON_AN_EXISTING_ONE)
def test_a_command_on_something_that_exists_refuses_a_folder_that_does_not(case: str, tmp_path: Path) -> None:
    absent = tmp_path / "typo"
    done = command(*filled(ON_AN_EXISTING_ONE[case], absent, tmp_path))

    assert done.returncode != 0
    (sentence,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert str(absent) in sentence
    assert not absent.exists()


def test_the_templates_are_not_written_into_a_folder_that_is_somebodys_own(precious: Path) -> None:
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "CDK_OUTDIR": str(precious)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("expected a folder of CloudFormation templates, an empty folder or none.")
    assert untouched(precious)


def test_a_state_folder_that_is_claimed_can_be_cleaned(tmp_path: Path) -> None:
    claim(tmp_path / "state", STATE)
    assert list(clean(tmp_path / "state"))[-1].startswith(f"deleted {tmp_path / 'state'}")
