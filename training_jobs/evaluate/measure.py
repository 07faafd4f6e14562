"""Run methods over questions and sum up by stratum. Seeds of a learnt method are averaged for each shopper."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.bundle import Bundle
from tqdm import tqdm

from training_jobs.evaluate.methods import BLIND, Method, listed
from training_jobs.evaluate.strata import Question
from training_jobs.intervals import Estimate, ratio
from training_jobs.metrics import recall_by_shopper, summarise
from training_jobs.session_ranker.calibration import reliability
from training_jobs.session_ranker.data import score_rows

NOTHING: Rows = np.empty(0, np.int32)
BOOTSTRAP_SEED = 20_171_127


@dataclass(frozen=True, slots=True)
class Answers:
    """Lists and targets of one stratum, parallel, one entry a shopper."""

    lists: list[Rows] = field(default_factory=list)
    targets: list[Rows] = field(default_factory=list)


Answered = dict[str, dict[str, Answers]]  # method -> stratum -> answers


def ask(methods: Mapping[str, Method], questions: Sequence[Question], *, label: str) -> Answered:
    """Every method on every question; a request is scored once and listed for each of its strata."""
    answered: Answered = {name: {} for name in methods}
    for question in tqdm(questions, desc=label, unit="shopper", file=sys.stderr, mininterval=2.0):
        for name, method in methods.items():
            if name == BLIND and not len(question.case.seen.rows):
                continue
            scored = method(question.case)
            for stratum, targets in question.targets.items():
                answers = answered[name].setdefault(stratum, Answers())
                answers.lists.append(listed(scored, question.excluded.get(stratum, NOTHING)))
                answers.targets.append(targets)
    return answered


def joined(*parts: Answered) -> Answered:
    """The answers of several askings; a method's later strata stand beside its earlier ones."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: {k: v for part in parts for k, v in part.get(name, {}).items()} for name in names}


def calibration(bundle: Bundle, questions: Sequence[Question], *, limit: int) -> dict[str, Any]:
    """How far the purchase head is from what was bought in a window that training has not seen."""
    scored, hits = [], []
    for question in questions:
        rows, features = score_rows(bundle, question.case, limit=limit)
        scored.append(bundle.ranker({"features": features})["score"])
        hits.append(np.isin(rows, question.case.targets))
    if not scored:
        return {}
    return {"purchase": reliability(np.concatenate(scored), np.concatenate(hits)).to_json()}


def summary(
    runs: Sequence[Answered], *, count_items: int, margin_share: Floats | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """methods -> strata -> metrics over runs (seeds) that answered the same questions."""
    return {
        method: {
            stratum: summarise(
                [run[method][stratum].lists for run in runs],
                runs[0][method][stratum].targets,
                count_items=count_items,
                rng=np.random.default_rng(BOOTSTRAP_SEED),
                margin_share=margin_share,
            )
            for stratum in runs[0][method]
        }
        for method in runs[0]
    }


def recall_ratio(above: Sequence[Answers], below: Sequence[Answers]) -> Estimate | None:
    """Recall@20 of one method over that of another on the same shoppers, with its interval."""
    means = [np.mean([recall_by_shopper(run.lists, run.targets) for run in runs], axis=0) for runs in (above, below)]
    return ratio(means[0], means[1], BOOTSTRAP_SEED)
