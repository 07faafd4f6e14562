"""The sequences benchmark's split for the peers, and their lists as its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import bridge
from benchmarks.peers.split import Ragged, Split, nothing, ragged
from benchmarks.sequences_data import SequenceData
from benchmarks.sequences_scoring import LISTED, Answers

Asked = dict[str, dict[str, Answers]]  # method -> stratum -> answers


def ask_peers(
    python: Path,
    data: SequenceData,
    *,
    keeps_seen: bool,
    methods: Sequence[str] = bridge.METHODS,
    kept: Path = bridge.KEPT,
) -> tuple[Asked, dict[str, Any]]:
    """Answers of every peer on every stratum, and what each chose and cost; they train on what ours are refitted on."""
    train = Ragged(data.train_and_valid.offsets, data.train_and_valid.items)
    tail = bridge.last_events(train, count_items=data.count_items, listed=LISTED, excludes_history=not keeps_seen)
    histories = ragged([data.test.histories.of(int(user)) for user in data.test.users])
    free = nothing(len(histories))
    strata = {"all": free} if keeps_seen else {"all": histories, "seen_listed": free}
    asked: Asked = {method: {} for method in methods}
    facts: dict[str, Any] = {}
    count = len(histories)
    test = Split(data.count_items, LISTED, train, _joined([histories] * len(strata)), _joined(list(strata.values())))
    for method, found in bridge.ask(python, tail=tail, test=test, methods=methods, kept=kept).items():
        facts[method] = found.facts
        for place, stratum in enumerate(strata):
            part = slice(place * count, (place + 1) * count)
            asked[method][stratum] = _answers(found.rows[part], found.scores[part], data)
    return asked, facts


def _joined(parts: list[Ragged]) -> Ragged:
    return ragged([part.of(number) for part in parts for number in range(len(part))])


def _answers(rows: np.ndarray, scores: np.ndarray, data: SequenceData) -> Answers:
    """Places of the wanted items; what is not listed stands behind the catalogue."""
    is_wanted = (rows == data.test.targets[:, None]) & (rows >= 0)  # (Q, K)
    found, is_listed = is_wanted.any(axis=1), rows >= 0
    own = np.where(found, (scores * is_wanted).sum(axis=1), np.inf)[:, None]  # (Q, 1)
    above = np.where(found, ((scores > own) & is_listed).sum(axis=1), data.count_items)
    equal = np.where(found, ((scores == own) & is_listed).sum(axis=1), 1)
    return Answers(above.astype(np.int64), equal.astype(np.int64), rows.astype(np.int64))
