"""Runs other people's recommenders, in an environment of their own, on the questions of our benchmarks.

The benchmark writes the split into a temporary folder, the peers' interpreter runs `benchmarks.peers.fit` once a
method, and the lists are read back, to be scored like any other. Progress is passed on to stderr. Peers do not change
when our models do, so their lists are kept by a digest of everything they depend on: split, code, settings. Letters: N
questions, K length of a list.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from recommender.contracts.fields import problem
from recommender.domain.models.arrays import Floats
from recommender.errors import DependencyDown

from benchmarks.peers.exchange import Ragged, Split, nothing, ragged

METHODS: Final = ("implicit_item_knn", "implicit_ials", "rectools_sasrec")
SECONDS: Final = 360.0  # most CPU of one method
TAIL_QUESTIONS: Final = 2000
TAIL_SEED: Final = 0
TAIL_SHARE: Final = 0.05  # newest sequences, where a tail is cut by sequence
ROOT: Final = Path(__file__).resolve().parents[2]
KEPT: Final = ROOT / ".local/benchmarks/peers"
CODE: Final = ("exchange.py", "fit.py", "implicit_models.py", "rectools_models.py", "requirements.txt")


@dataclass(frozen=True, slots=True)
class PeerLists:
    """The answers of one peer."""

    rows: NDArray[np.int32]  # (N, K), best first, -1 behind a shorter list
    scores: Floats  # (N, K)
    facts: dict[str, Any]  # cpu_seconds, chosen, versions


def interpreter(text: str) -> Path:
    """The peers' Python, as an argument. Raises InvalidInput before anything has been computed."""
    found = Path(text).absolute()  # not resolved: the link itself selects an environment's packages
    if not (found.is_file() and os.access(found, os.X_OK)):
        raise problem("--peers", text, "the Python of the peers' environment (`make bench-peers` makes one)")
    return found


def fetch_lists(
    python: Path,
    *,
    tail: Split,
    test: Split,
    methods: Sequence[str] = METHODS,
    seed: int = 1,
    seconds: float = SECONDS,
    kept: Path = KEPT,
) -> dict[str, PeerLists]:
    """The lists of each peer. Raises DependencyDown with the peer's last line where one fails."""
    python = interpreter(str(python))
    blind = Split(test.count_items, test.listed, test.train, test.histories, test.excluded, nothing(len(test)))
    digest = _digest(python, (tail, blind), f"{seed} {seconds}")
    found = {}
    for method in methods:
        folder = kept / f"{method}-{digest}"
        if (folder / f"{method}.json").is_file():
            print(f"{method}: kept answers of an earlier run", file=sys.stderr)
        else:
            with tempfile.TemporaryDirectory() as name:
                tail.save(Path(name) / "tail.npz")
                blind.save(Path(name) / "test.npz")
                _run(python, Path(name), method, seed=seed, seconds=seconds)
                folder.mkdir(parents=True, exist_ok=True)
                for suffix in ("npz", "json"):  # the JSON last: where it stands, the answers are whole
                    shutil.copyfile(Path(name) / f"{method}.{suffix}", folder / f"{method}.{suffix}")
        found[method] = _read(folder, method, test)
    return found


def _digest(python: Path, splits: Sequence[Split], settings: str) -> str:
    """Of everything that the answers depend on."""
    digest = hashlib.sha256(f"{python} {settings}".encode())
    for name in CODE:
        digest.update((Path(__file__).parent / name).read_bytes())
    for split in splits:
        digest.update(f"{split.count_items} {split.listed}".encode())
        for part in (split.train, split.histories, split.excluded, split.targets):
            digest.update(part.offsets.tobytes())
            digest.update(part.items.tobytes())
    return digest.hexdigest()[:16]


def _run(python: Path, folder: Path, method: str, *, seed: int, seconds: float) -> None:
    command = [python, "-m", "benchmarks.peers.fit", folder, method, "--seed", str(seed), "--seconds", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    last = ""
    with subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=sys.stderr, text=True
    ) as process:
        for line in process.stderr or ():
            print(line, end="", file=sys.stderr, flush=True)
            last = line.strip() or last
    if process.returncode:
        raise DependencyDown(f"the peer {method} gave up with exit code {process.returncode}: {last}")


def _read(folder: Path, method: str, test: Split) -> PeerLists:
    with np.load(folder / f"{method}.npz", allow_pickle=False) as stored:
        rows, scores = stored["rows"], stored["scores"]
    facts = json.loads((folder / f"{method}.json").read_text(encoding="utf-8"))
    if rows.shape != (len(test), test.listed) or rows.max(initial=-1) >= test.count_items:
        raise DependencyDown(f"the peer {method} answered {rows.shape} lists, expected {(len(test), test.listed)}")
    return PeerLists(rows, scores, facts)


def last_events(train: Ragged, *, count_items: int, listed: int, excludes_history: bool) -> Split:
    """A tail of train by leave-one-out: everybody's last event is removed, and is the target of some."""
    sizes = train.sizes
    is_last = np.zeros(len(train.items), bool)
    is_last[train.offsets[1:][sizes > 1] - 1] = True
    kept = np.concatenate([[0], np.cumsum(sizes - (sizes > 1))]).astype(np.int64)
    shorter = Ragged(kept, train.items[~is_last])
    asked = _some(np.flatnonzero(sizes > 1))
    histories = shorter.take(asked)
    return Split(
        count_items,
        listed,
        shorter,
        histories,
        histories if excludes_history else nothing(len(asked)),
        ragged([train.of(n)[-1:] for n in asked]),
    )


def newest_sequences(train: Ragged, *, count_items: int, listed: int) -> Split:
    """A tail of train by time: the newest sequences are removed, and one event of each is a target."""
    count = max(1, round(TAIL_SHARE * len(train))) if len(train) > 1 else 0
    cut = len(train) - count
    older = train.take(range(cut))
    asked = _some(np.arange(cut, len(train))[train.sizes[cut:] > 1])
    places = np.random.default_rng(TAIL_SEED).integers(1, np.maximum(train.sizes[asked], 2))
    return Split(
        count_items,
        listed,
        older,
        ragged([train.of(n)[:place] for n, place in zip(asked, places, strict=True)]),
        nothing(len(asked)),
        ragged([train.of(n)[place : place + 1] for n, place in zip(asked, places, strict=True)]),
    )


def _some(numbers: NDArray[np.integer]) -> NDArray[np.integer]:
    """At most TAIL_QUESTIONS of them, in order."""
    return np.sort(np.random.default_rng(TAIL_SEED).permutation(numbers)[:TAIL_QUESTIONS])
