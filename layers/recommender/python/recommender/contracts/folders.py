"""Ownership of folders: every command that deletes or overwrites checks it first.

A folder that a command makes carries a marker, which names its kind. A command writes into a folder that is
absent, empty, or marked as its kind, and deletes only what is marked; anything else is somebody's and is refused.
Folders that older versions made without a marker are known by what lies in them.

Decisions: docs/decisions/local.md (223).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recommender.errors import Conflict, NotFound

MARKER: Final = ".recommender-folder.json"
MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of folder. `knows` recognises an unmarked one that an older version has made.

    In a folder that is to be made may lie what `passes`, such as another program's lock, and the `parts`: names of
    folders of another kind of ours.
    """

    name: str
    knows: Callable[[Path], bool] = lambda _: False
    passes: Callable[[Path], bool] = lambda _: False
    parts: tuple[tuple[str, Kind], ...] = ()


def is_ours(folder: Path, kind: Kind) -> bool:
    """True for a folder of this kind that we have made."""
    marked = _marked(folder)
    if marked is not None:
        return marked == kind.name
    return folder.is_dir() and kind.knows(folder)


def claim(folder: Path, kind: Kind) -> Path:
    """Make `folder` ours, or see that it is; returns it. Raises Conflict where it holds what is not ours."""
    if folder.exists() and not folder.is_dir():
        raise Conflict(f"{folder} is a file, expected a folder for a {kind.name}", code="not_ours")
    if folder.is_dir() and not is_ours(folder, kind) and (found := _somebodys(folder, kind)):
        raise Conflict(
            f"{folder} holds {found} and {_marked_kind(folder)}, expected a {kind.name}, an empty folder or none",
            code="not_ours",
        )
    folder.mkdir(parents=True, exist_ok=True)
    if _marked(folder) is None:
        (folder / MARKER).write_text(json.dumps({"kind": kind.name}) + "\n")
    return folder


def require(folder: Path, kind: Kind) -> None:
    """Raise NotFound where there is no such folder, and Conflict where it is not ours, or is a link to one."""
    if folder.is_symlink():
        raise Conflict(f"{folder} is a link to {folder.readlink()}; name the {kind.name} itself", code="not_ours")
    if not folder.is_dir():
        raise NotFound(f"{folder} is not there, expected a {kind.name}", code="no_folder")
    if not is_ours(folder, kind):
        raise Conflict(f"{folder} is not ours: it {_marked_kind(folder)}, expected a {kind.name}", code="not_ours")


def discard(folder: Path, kind: Kind) -> int:
    """Delete a folder of ours; the bytes that it held. Links in it are deleted, what they lead to is not."""
    require(folder, kind)
    held = size_of(folder)
    delete(folder)
    return held


def delete(path: Path) -> None:
    """Delete a file, a link or a folder of which the caller knows that it is ours; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def fresh(folder: Path, kind: Kind) -> Path:
    """`folder`, ours and empty. Raises Conflict where it holds what is not ours, or is a link."""
    if folder.is_symlink() or (folder.is_dir() and is_ours(folder, kind)):
        discard(folder, kind)
    return claim(folder, kind)


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files below a folder; links count as themselves."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(size_of(entry) for entry in path.iterdir())


def write_over(path: Path, text: str) -> None:
    """Write a page over an older version of itself. Raises Conflict where a file begins otherwise: it is another's."""
    title = text.partition("\n")[0]
    if path.exists() and (not path.is_file() or path.read_text(encoding="utf-8").partition("\n")[0] != title):
        raise Conflict(f"{path} does not begin with {title!r}, so it is not the page that would replace it")
    path.write_text(text, encoding="utf-8")


def _marked(folder: Path) -> str | None:
    """Return the kind that the marker of a folder names, "" for an empty marker; None without a marker."""
    marker = folder / MARKER
    if marker.is_symlink() or not marker.is_file():
        return None
    try:
        return str(json.loads(marker.read_text())["kind"])
    except (ValueError, TypeError, KeyError):
        return ""


def _marked_kind(folder: Path) -> str:
    marked = _marked(folder)
    return f"is marked as a {marked or 'folder of no kind'}" if marked is not None else f"has no {MARKER}"


def _somebodys(folder: Path, kind: Kind) -> str | None:
    """Return the name of a foreign file in the folder."""
    parts = {name for name, part in kind.parts if is_ours(folder / name, part)}
    return next((it.name for it in sorted(folder.iterdir()) if it.name not in parts and not kind.passes(it)), None)


def _begins(path: Path, content: bytes, *, at: int = 0) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(at + len(content))[at:] == content


def _holds(path: Path, *names: str) -> bool:
    """True for a JSON object with at least one of these names."""
    try:
        body = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(body, dict) and any(name in body for name in names)


def _is_state(folder: Path) -> bool:
    lock = folder / "lock"
    kept = (folder / "steps").is_dir() or (folder / "keys.json").is_file()
    return kept and lock.is_file() and not lock.stat().st_size


def _is_report(folder: Path) -> bool:
    if any(folder.glob("content-*.npy")):  # what a benchmark keeps for its next run
        return True
    results = any(_holds(path, "benchmark", "methods", "may_claim") for path in folder.glob("*.json"))
    return (results and (folder / "report.html").is_file()) or _holds(folder / "quality.json", "findings")


DATABASE: Final = Kind("embedded warehouse", lambda folder: _begins(folder / "RECOMMENDER.db", b"DUCK", at=8))
REPORT: Final = Kind("report", _is_report)
HISTORY: Final = Kind(
    "synthetic history",
    lambda folder: any(_begins(path, b"PAR1") for path in folder.glob("*_????-??-??_????-??-??.parquet")),
)
REJECTS: Final = Kind(
    "folder of refused rows",
    lambda folder: any(_begins(path, b"rejected_row,rejected_reason") for path in folder.glob("*.rejects.csv")),
)
LAYER: Final = Kind("Lambda layer", lambda folder: (folder / "python" / "onnxruntime").is_dir())
SCHEDULE: Final = Kind("schedule for Amazon MWAA", lambda folder: (folder / "dags/recommender_settings.py").is_file())
TEMPLATES: Final = Kind(
    "folder of CloudFormation templates",
    lambda folder: _holds(folder / "manifest.json", "artifacts"),
    passes=lambda path: path.suffix == ".lock",  # of the CDK command line
)
STATE: Final = Kind(
    "state folder of the local run",
    _is_state,
    passes=lambda path: path.name == "lock" and path.is_file() and not path.stat().st_size,
    parts=(("warehouse", DATABASE),),  # a shop's own, loaded before the first run
)
KINDS: Final = (STATE, DATABASE, REPORT, HISTORY, REJECTS, LAYER, SCHEDULE, TEMPLATES)
