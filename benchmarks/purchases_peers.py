"""The purchases benchmark's split for the peers, and their lists as its answers.

A history is every line the shopper bought before the moment, in order of time, followed by what the visit has shown.
A question counts in several strata with different exclusions, so each of them is a question of its own. The peers
choose their settings on items new to the shopper in the validation window, as our own iALS does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recommender.domain.arrays import Rows

from benchmarks.peers import bridge
from benchmarks.peers.split import Ragged, Split, nothing, ragged
from training_jobs.evaluate.measure import NOTHING, Answered, Answers
from training_jobs.evaluate.strata import Question
from training_jobs.metrics import LISTED
from training_jobs.session_ranker.statistics import Statistics

TUNED_ON = "new"


def ask_peers(
    python: Path,
    *,
    tail: tuple[Statistics, Sequence[Question]],
    test: tuple[Statistics, Sequence[Question]],
    methods: Sequence[str] = bridge.METHODS,
    kept: Path = bridge.KEPT,
) -> tuple[Answered, dict[str, Any]]:
    """Answers of every peer, and what each chose and cost.

    `tail` and `test` are what was counted at a moment and the questions asked then; the tail's are sampled.
    """
    tuning = [(question, stratum) for question, stratum in _pairs(tail[1]) if stratum == TUNED_ON]
    chosen = np.random.default_rng(0).permutation(len(tuning))[: bridge.TAIL_QUESTIONS]
    pairs = _pairs(test[1])
    found = bridge.ask(
        python,
        tail=split_of(tail[0], [tuning[n] for n in chosen]),
        test=split_of(test[0], pairs),
        methods=methods,
        kept=kept,
    )
    answered: Answered = {method: {} for method in methods}
    for method, lists in found.items():
        for (question, stratum), row in zip(pairs, lists.rows, strict=True):
            answers = answered[method].setdefault(stratum, Answers())
            answers.lists.append(row[row >= 0])
            answers.targets.append(question.targets[stratum])
    return answered, {method: lists.facts for method, lists in found.items()}


def _pairs(questions: Sequence[Question]) -> list[tuple[Question, str]]:
    return [(question, stratum) for question in questions for stratum in question.targets]


def split_of(statistics: Statistics, pairs: Sequence[tuple[Question, str]]) -> Split:
    """What was counted at a moment as train, and the questions asked then."""
    lines = statistics.lines
    order = np.argsort(lines.shopper, kind="stable")
    offsets = np.searchsorted(lines.shopper[order], np.arange(len(lines.shopper_ids) + 1)).astype(np.int64)
    train = Ragged(offsets, lines.item[order].astype(np.int32))
    return Split(
        len(statistics.item_ids),
        LISTED,
        train,
        ragged([_history(question, train, statistics) for question, _ in pairs]),
        ragged([question.excluded.get(stratum, NOTHING) for question, stratum in pairs]),
        ragged([question.targets[stratum] for question, stratum in pairs]) if pairs else nothing(0),
    )


def _history(question: Question, train: Ragged, statistics: Statistics) -> Rows:
    """What is known of whoever asks; a stranger's purchases are not."""
    case = question.case
    number = statistics.histories.numbers.get(case.shopper_id, -1)
    bought = train.of(number) if number >= 0 and len(case.owned.rows) else NOTHING
    return np.concatenate([bought, case.seen.rows]).astype(np.int32)
