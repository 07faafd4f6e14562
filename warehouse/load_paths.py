"""What a call names (a file, a folder, a pattern) as files, with the columns that stand in their paths.

A folder is read with all below it, hidden files and those that begin with `_` left aside; `day=2026-01-01/` in a
path is a column `day`, as Hive, Spark and Athena write it.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from recommender.contracts.fields import problem

from warehouse.load_files import kind_of

NULL: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Found:
    """A file, the name it goes by in rejects and logs, its columns in the path; one of many may be without rows."""

    path: Path
    name: str
    partition: dict[str, str]
    is_one_of_many: bool = False


def find(argument: str) -> list[Found]:
    """The files of one argument in the order of their names. Raises InvalidInput where there is none."""
    path = Path(argument)
    if path.is_dir():
        return _below(path)
    if path.exists() or not glob.has_magic(argument):
        return [Found(path, path.name, _partition(path))]
    matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207
    found = [file for match in matches for file in (_below(match) if match.is_dir() else _one(match))]
    if not found:
        raise problem(f"/{argument}", "no file", "a pattern that files match")
    return found


def _below(folder: Path) -> list[Found]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and kind_of(path) is not None)
    shown = [path for path in paths if not any(part[0] in "._" for part in path.relative_to(folder).parts)]
    if not shown:
        raise problem(f"/{folder.name}", "a folder without files", "CSV, JSON lines or Parquet in it")
    return [Found(path, str(path.relative_to(folder)), _partition(path), is_one_of_many=True) for path in shown]


def _one(path: Path) -> list[Found]:
    return [Found(path, path.name, _partition(path), is_one_of_many=True)] if kind_of(path) else []


def _partition(path: Path) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in path.parent.parts if "=" in part]
    return {name: unquote(value) for name, value in pairs if name.isidentifier() and value != NULL}
