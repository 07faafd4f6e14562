"""The next-item benchmark's split for the peers, and their lists as its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.next_item_data import NextItemData
from benchmarks.peers import bridge
from benchmarks.peers.split import Ragged, Split, nothing, ragged
from training_jobs.session_ranker.prefixes import LISTED, Answers, Prefixes


def ask_peers(
    python: Path,
    data: NextItemData,
    prefixes: Prefixes,
    *,
    methods: Sequence[str] = bridge.METHODS,
    kept: Path = bridge.KEPT,
) -> tuple[dict[str, Answers], dict[str, Any]]:
    """Answers of every peer, and what each chose and cost. Items that train does not know are left out of a prefix."""
    train = Ragged(data.train.offsets, data.train.items)
    visits = (prefixes.visit(number) for number in range(len(prefixes)))
    histories = ragged([visit[visit >= 0] for visit in visits])
    test = Split(data.count_items, LISTED, train, histories, nothing(len(histories)))
    tail = bridge.newest_sequences(train, count_items=data.count_items, listed=LISTED)
    found = bridge.ask(python, tail=tail, test=test, methods=methods, kept=kept)
    answers = {method: Answers(lists.rows, lists.scores) for method, lists in found.items()}
    return answers, {method: lists.facts for method, lists in found.items()}
