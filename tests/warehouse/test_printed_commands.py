"""Commands run as they are printed: from any folder, without a word on where packages are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(sys.executable).with_name("recommender")  # `make` installs it with the project
PRINTED = re.compile(r"recommender ((?:load|run|shoppers|clean)|(?:warehouse|bench|experiment) [a-z-]+)")
PLACES = (
    "README.md",
    "docs/data.md",
    "docs/quality.md",
    "docs/local.md",
    "docs/snowflake.md",
    "warehouse/day/doctor.py",
)


def printed() -> list[str]:
    """The commands that documents and programs print."""
    return sorted({match[1] for place in PLACES for match in PRINTED.finditer((ROOT / place).read_text())})


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    call = [str(SCRIPT), *command.split()]
    return subprocess.run(call, cwd=folder, env=bare, capture_output=True, text=True, check=False, timeout=300)


def test_the_documents_print_commands() -> None:
    assert {"load", "warehouse doctor", "warehouse withdraw", "warehouse backfill", "run"} <= set(printed())


@pytest.mark.parametrize("command", printed())
def test_a_printed_command_runs_without_pythonpath(command: str, tmp_path: Path) -> None:
    found = run(f"{command} --help", tmp_path)

    assert (found.returncode, "usage" in found.stdout) == (0, True), found.stderr


def test_the_load_of_the_documents_runs_to_its_end_without_pythonpath(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("sku,name,category,price\n1,Tea,Drinks,2.00\n")
    (tmp_path / "orders.csv").write_text("order_id,sku,customer_id,date,qty,unit_price\n7,1,s,2026-01-01,1,2.00\n")
    files = f"--items {tmp_path}/items.csv --purchases {tmp_path}/orders.csv --database {tmp_path}/warehouse"

    loaded = run(f"load {files} --run", tmp_path)
    doctor = run(f"warehouse doctor --database {tmp_path}/warehouse", tmp_path)

    assert loaded.returncode == 0, loaded.stderr
    assert "checks failed" in doctor.stdout, doctor.stderr


def test_a_benchmark_that_is_called_like_a_package_is_found_by_its_own_name() -> None:
    code = "from benchmarks import warehouse; print(warehouse.__name__)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "benchmarks.warehouse"
