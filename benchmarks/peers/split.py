"""What a peer is given: train histories, questions with their own histories, and what may not be listed.

Read and written on both sides of the process border, so it knows numpy only. The wanted items of the test never leave
the benchmark; a tail of train, whose targets a peer may look at, is a split of its own.
Letters: S train histories, N questions, I items.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.integer]


@dataclass(frozen=True)
class Ragged:
    """Lists of item rows laid end to end: list n is items[offsets[n]:offsets[n + 1]]."""

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, number: int) -> NDArray[np.int32]:
        """One list."""
        return self.items[self.offsets[number] : self.offsets[number + 1]]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(N,) lengths."""
        return np.diff(self.offsets)

    def take(self, numbers: Iterable[int]) -> Ragged:
        """Some of the lists."""
        return ragged([self.of(number) for number in numbers])


def ragged(lists: Sequence[Rows]) -> Ragged:
    """Lists of any lengths."""
    sizes = np.array([len(one) for one in lists], np.int64)
    items = np.concatenate([*lists, np.empty(0, np.int32)]).astype(np.int32)
    return Ragged(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), items)


def nothing(count: int) -> Ragged:
    """`count` empty lists."""
    return Ragged(np.zeros(count + 1, np.int64), np.empty(0, np.int32))


@dataclass(frozen=True)
class Split:
    """S train histories in order of time, N questions. `targets` are empty lists in a test."""

    count_items: int
    listed: int  # how long a list may be
    train: Ragged
    histories: Ragged  # (N,) what is known of whoever asks, oldest first
    excluded: Ragged  # (N,) what may not be listed
    targets: Ragged = field(default_factory=lambda: nothing(0))

    def __len__(self) -> int:
        return len(self.histories)

    def save(self, path: Path) -> None:
        """As one npz file without pickles."""
        arrays: dict[str, Any] = {"count_items": self.count_items, "listed": self.listed}
        for name in ("train", "histories", "excluded", "targets"):
            part: Ragged = getattr(self, name)
            arrays |= {f"{name}_{column.name}": getattr(part, column.name) for column in fields(Ragged)}
        np.savez(path, **arrays)


def load(path: Path) -> Split:
    """What `save` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        parts = {
            name: Ragged(stored[f"{name}_offsets"], stored[f"{name}_items"])
            for name in ("train", "histories", "excluded", "targets")
        }
        return Split(int(stored["count_items"]), int(stored["listed"]), **parts)
