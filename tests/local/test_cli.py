"""One entry: each command explains itself, refuses a typo, is imported only when called, and works as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cli import COMMANDS, Entry, main
from local.settings import PACKAGE, ROOT

Path_ = tuple[str, ...]
HEAVY = ("torch", "numpy", "boto3", "polars", "snowflake", "aws_cdk", "recommender", "warehouse", "benchmarks")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
WORDS = re.compile(r"(?:^|[`$(]|\.venv/bin/)\s*recommender ((?:[a-z][a-z0-9_-]*)(?: [a-z][a-z0-9_-]*)*)", re.MULTILINE)


def leaves() -> Iterator[tuple[Path_, Entry]]:
    for name, entry in COMMANDS.items():
        if isinstance(entry, Entry):
            yield (name,), entry
        else:
            yield from (((name, inner), leaf) for inner, leaf in entry.items())


LEAVES = dict(leaves())


def call(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the entry in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments), prog_name="recommender")
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


@pytest.mark.parametrize("path", [(), *((name,) for name in COMMANDS), *LEAVES], ids=" ".join)
def test_every_command_explains_itself(path: Path_, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(*path, "--help", capsys=capsys)

    assert status == 0
    assert out.lower().startswith("usage: recommender" + "".join(f" {name}" for name in path if name != "train"))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_an_unknown_option_of_every_command_is_named(path: Path_, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(*path, "--no-such-option", capsys=capsys)

    assert (status, out) == (2, "")
    assert "--no-such-option" in err or "required" in err


@pytest.mark.parametrize(
    ("words", "meant"), [(("rnu",), "run"), (("bench", "servin"), "serving"), (("ops", "layer"), "layers")]
)
def test_a_typo_of_a_command_is_refused_with_the_nearest_name(
    words: Path_, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = call(*words, capsys=capsys)

    assert status == 2
    assert f"no command '{words[-1]}'; did you mean '{meant}'?" in err


def test_an_underscore_is_a_hyphen(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("bench", "next_item", "--help", capsys=capsys)[0] == 0


def test_help_imports_no_command() -> None:
    code = f"""
import sys
from local.cli import main
try:
    main(["bench", "--help"], prog_name="recommender")
except SystemExit:
    pass
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert found.stdout.splitlines()[-1] == "[]"


def test_every_benchmark_with_a_command_line_is_in_the_table() -> None:
    folders = {path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py")}

    assert {name.replace("_", "-") for name in folders} <= set(COMMANDS["bench"]), "local/cli.py: BENCHMARKS"  # type: ignore[arg-type]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_printed_commands_exist(page: Path) -> None:
    for match in WORDS.finditer(page.read_text()):
        words = tuple(word.replace("_", "-") for word in match[1].split())
        assert words[:1] in LEAVES or words[:2] in LEAVES or words in {(name,) for name in COMMANDS}, match[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_printed_targets_of_make_exist_and_nothing_needs_a_path(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()

    assert set(re.findall(r"[`$] ?make ([a-z-]+)", text)) <= targets
    assert "PYTHONPATH=" not in text


def in_a_worker(code: str, layer: Path) -> subprocess.CompletedProcess[str]:
    from local.aws.workers import RUNTIME_PACKAGES

    environment = {"PYTHONPATH": f"{layer}:{RUNTIME_PACKAGES}"}
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=ROOT / "functions/recommend",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_worker_finds_layer_and_packages_and_no_other_folder_of_the_project(tmp_path: Path) -> None:
    for module in ("training_jobs", "warehouse", "benchmarks", "local", "functions"):
        assert f"No module named '{module}'" in in_a_worker(f"import {module}", PACKAGE).stderr
    assert in_a_worker("import boto3, recommender.contracts.events", PACKAGE).returncode == 0


def test_a_file_that_the_layer_lacks_is_missed_though_the_project_is_installed(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(PACKAGE, tmp_path / "layer", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "layer/recommender/contracts/events.py").unlink()

    found = in_a_worker("import recommender.contracts.events", tmp_path / "layer")

    assert "No module named 'recommender.contracts.events'" in found.stderr
