"""`make clean` and `make mwaa` delete folders of ours, and nothing beside them.

    recommender clean                     the state folder, reports, builds and templates of this checkout
    recommender clean --state-dir DIR     another state folder
    recommender clean --fresh OUT         OUT, emptied for the schedule as Amazon MWAA reads it

Runs as `python -m local.clean` on any Python from 3.11 on, without the packages of the project: so `make` calls it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from recommender.contracts.folders import (
    KINDS,
    MARKER,
    MEGABYTE,
    SCHEDULE,
    STATE,
    TEMPLATES,
    delete,
    discard,
    fresh,
    is_ours,
    require,
    size_of,
)
from recommender.errors import RecommenderError

from local.aws.processes import StateLock
from local.settings import LocalRunError, StateFolder

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ("reports", ".build")  # folders of folders, some of which may be the user's own


def clean(folder: Path) -> Iterator[str]:
    """Delete what runs have kept in a state folder, and the folder where nothing else is left; a line for each part.

    Raises LocalRunError where it is not a state folder, or is in use.
    """
    try:
        require(folder, STATE)
    except RecommenderError as error:
        raise LocalRunError(f"{error.detail}.") from error
    with StateLock(folder):
        parts = [path for path in StateFolder(folder).parts if path.exists() or path.is_symlink()]
        own = sorted(path for path in folder.iterdir() if path not in parts and path.name != MARKER)
        held = 0
        for path in parts:
            held += (size := size_of(path))
            delete(path)
            yield _line(path, size)
        if not own:
            delete(folder)
    yield f"kept    {folder}: {own[0].name} is not of a run" if own else _line(folder, held)


def clean_checkout(root: Path) -> Iterator[str]:
    """Delete what the commands of the Makefile have made below `root`; a line for each thing that went or stayed."""
    if (root / ".local").is_dir():
        yield from clean(root / ".local")
    if (root / "cdk.out").is_dir():
        yield _line(root / "cdk.out", discard(root / "cdk.out", TEMPLATES))
    for collection in (root / name for name in COLLECTIONS):
        if collection.is_symlink():
            yield f"kept    {collection}: it is a link"
        elif collection.is_dir():
            yield from _clean_collection(collection)


def main(arguments: Sequence[str] | None = None) -> int:
    """Delete, with a line for each deletion; 1 and one sentence where something is not ours."""
    parser = argparse.ArgumentParser(prog="recommender clean", description=__doc__.split("\n")[0])
    parser.add_argument("--fresh", metavar="OUT", help="empty this folder for `make mwaa`, and nothing else")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="delete this state folder, and nothing else")
    options = parser.parse_args(arguments)
    try:
        if options.fresh is not None:
            fresh(_named(options.fresh), SCHEDULE)
        elif options.state_dir is not None:
            for line in clean(options.state_dir.absolute()):  # not resolved: a link is not followed
                print(line)
        else:
            for line in clean_checkout(ROOT):
                print(line)
    except (RecommenderError, LocalRunError, OSError) as error:
        print(f"{str(error).rstrip('.')}.", file=sys.stderr)
        return 1
    return 0


def _named(text: str) -> Path:
    if not text:
        raise LocalRunError("OUT is empty, expected a folder.")
    return Path(text)


def _clean_collection(folder: Path) -> Iterator[str]:
    """Delete the folders of ours, then what held them, where nothing else is left."""
    for entry in sorted(folder.iterdir()):
        kinds = [kind for kind in KINDS if kind != STATE and entry.is_dir() and is_ours(entry, kind)]
        if entry.is_symlink() or not (kinds or _is_collection(entry)):
            yield f"kept    {entry}: it has no marker of ours"
        elif kinds:
            yield _line(entry, discard(entry, kinds[0]))
        else:
            yield from _clean_collection(entry)
    if not any(folder.iterdir()):
        folder.rmdir()


def _is_collection(folder: Path) -> bool:
    return folder.name == "experiments" and folder.is_dir()  # of reports, one an experiment


def _line(path: Path, size: int) -> str:
    return f"deleted {path} ({size / MEGABYTE:.1f} MB)"


if __name__ == "__main__":
    sys.exit(main())
