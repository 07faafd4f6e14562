"""Runs inside the peers' environment: fit one method on a split, answer its questions, write the lists.

    python -m benchmarks.peers.fit FOLDER METHOD --seed 1 --seconds 360

FOLDER holds tail.npz and test.npz (benchmarks.peers.exchange); METHOD.npz and METHOD.json are written into it. Imports
nothing of the product, and the packages of the chosen method only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.exchange import Lists, Split, lists_of, load, popularity, progress, with_popular

Fit = Callable[..., tuple[Lists, dict[str, Any]]]
PACKAGES = ("pm-implicit", "implicit", "rectools", "torch", "numpy")


def main() -> int:
    """Fit, answer, write."""
    options = _parser().parse_args()
    tail, test = load(options.folder / "tail.npz"), load(options.folder / "test.npz")
    progress(f"{options.method}: {len(test.train)} train histories, {len(test)} questions, {test.count_items} items")
    started = time.process_time()
    lists, chosen = _method(options.method)(tail, test, seed=options.seed, seconds=options.seconds)
    rows, scores = with_popular(lists, test)
    np.savez(options.folder / f"{options.method}.npz", rows=rows, scores=scores)
    facts = {"cpu_seconds": round(time.process_time() - started, 1), "chosen": chosen, "versions": _versions()}
    (options.folder / f"{options.method}.json").write_text(json.dumps(facts), encoding="utf-8")
    progress(f"{options.method}: {facts['cpu_seconds']} s CPU")
    return 0


def _method(name: str) -> Fit:
    if name.startswith("implicit_"):
        from benchmarks.peers import implicit_models

        return {"implicit_ials": implicit_models.ials, "implicit_item_knn": implicit_models.item_knn}[name]
    if name == "rectools_sasrec":
        from benchmarks.peers import rectools_models

        return rectools_models.sasrec
    return {"popular": _popular}[name]


def _popular(tail: Split, test: Split, *, seed: int, seconds: float) -> tuple[Lists, dict[str, Any]]:
    """Needs numpy only: shows that the bridge carries questions and lists, wherever it leads."""
    return lists_of(popularity(test), test), {}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.fit")
    parser.add_argument("folder", type=Path)
    parser.add_argument("method")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=360.0, help="most CPU seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
