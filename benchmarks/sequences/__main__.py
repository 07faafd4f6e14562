"""Sequences benchmark: what comes next in a user's history? Leave-one-out, ranked over the full catalogue.

    recommender bench sequences --data FILE [--items FILE] [--seeds 1,2,3] [--out DIR] [--peers PYTHON]

The last item of each sequence is the test, the one before it the validation. Everything is chosen on the validation;
the models are then refitted with it, as the training jobs do, and the test is read once. `two_tower_train_only` is the
same tower without the refit, as published tables have it. Items of the history are not listed where users practically
never repeat one; stratum `seen_listed` shows the figures with them. The last line of stdout is one JSON object.

Decisions: docs/decisions/benchmarks.md (097).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recommender.domain.models.arrays import Floats

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.peers import bridge
from benchmarks.scores import Scores, mean_of
from benchmarks.sequences import models
from benchmarks.sequences.data import REPEATING, Histories, SequenceData, content_vectors, load
from benchmarks.sequences.fusion import fit_fusion, fused, peer_answers
from benchmarks.sequences.models import Answers, Scorer, answer, sequence_metrics
from training_jobs.intervals import ratio
from training_jobs.metrics import breadth
from training_jobs.two_tower.training import TowerSettings, Trained

FUSED_QUESTIONS = 4000  # of the validation, on which the hybrid's weights are fitted
MEMBERS = {  # the gain of each step, in order
    "two-tower on ids": "two_tower",
    "content in the item tower": "two_tower_content",
    "both towers fused": "towers",
    "counting members fused": "hybrid",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """The data and baselines that all methods share."""

    data: SequenceData
    vectors: Floats | None  # (I, C) vectors of the items file
    keeps_seen: bool
    counting: Mapping[str, tuple[Scorer, Scorer]]  # method -> fitted without and with the validation


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)

    def asked() -> dict[str, Any]:
        python = bridge.interpreter(str(options.peers)) if options.peers else None
        return run(load(options.data, options.items), options, python)

    return cli.answer(asked, options.out)


def run(data: SequenceData, options: argparse.Namespace, python: Path | None) -> dict[str, Any]:
    """All methods on one data set; seeds concern the methods that are learnt, `python` answers for the peers."""
    started = time.process_time()
    setting = _setting(data, options.out)
    fixed = {name: _answered(refitted, setting) for name, (_, refitted) in setting.counting.items()}
    encoded = time.process_time()
    runs, details = [], []
    for seed in options.seeds:
        before = time.process_time()
        asked, detail = _one_seed(setting, TowerSettings(most_steps=options.steps, seed=seed))
        runs.append(asked)
        details.append({"seed": seed, "fit_cpu_seconds": round(time.process_time() - before, 1), **detail})
    peers, facts = peer_answers(python, data, keeps_seen=setting.keeps_seen) if python else ({}, {})
    popularity = np.bincount(data.train_and_valid.items, minlength=data.count_items)
    scored = {
        **{name: [_scores(answered, popularity)] for name, answered in (fixed | peers).items()},
        **{name: [_scores(run[name], popularity) for run in runs] for name in (runs[0] if runs else {})},
    }
    scores = {name: mean_of(found) for name, found in scored.items()}
    return {
        "benchmark": "sequences",
        "data": data.facts,
        "protocol": {
            "split": "leave-one-out: last item test, the one before it validation; full catalogue",
            "refit": "chosen without the validation, refitted with it (two_tower_train_only: not refitted)",
            "seen_items": "listed" if setting.keeps_seen else "left out of `all`, listed in `seen_listed`",
            "equal_scores": "expected rank",
        },
        "methods": {name: found.means() for name, found in scores.items()},
        "intervals": {name: found.intervals() for name, found in scores.items()},
        "ratios": {"all": _ratios(scores)},
        "ablation": {name: scores[method].means() for name, method in MEMBERS.items() if method in scores},
        "cost": {
            "fit_cpu_seconds": round(float(np.mean([detail["fit_cpu_seconds"] for detail in details])), 1),
            "shared_cpu_seconds": round(encoded - started, 1),
        },
        "curves": {"two_tower": {f"valid_ndcg@10, seed {d['seed']}": d["valid_curve"] for d in details}},
        "seeds": options.seeds,
        "by_seed": {
            str(seed): {name: replace(scored[name][place], breadth={}).means()["all"] for name in runs[0]}
            for place, seed in enumerate(options.seeds)
        },
        "chosen_on_tail": details,
        "peers": facts,
        "machine": describe_machine(),
    }


def _setting(data: SequenceData, cache: Path | None) -> Setting:
    vectors = None if data.items is None else content_vectors(data.items, cache)
    keeps_seen = data.train_and_valid.repeat_share >= REPEATING
    count = data.count_items
    tuned = models.tuned_ials(data.train, data.valid, count, keeps_seen=keeps_seen) if len(data.valid) else None
    both = (data.train, data.train_and_valid)

    def fitted(histories: Histories) -> dict[str, Scorer]:
        found = {
            "popular": models.popular(histories, count),
            "item_knn": models.item_knn(histories, count),
            "markov": models.markov(histories, count),
            "ials": models.fitted_ials(histories, tuned or models.IALS_CHOICES[0], count),
        }
        return found if vectors is None else found | {"content": models.by_content(vectors)}

    early, late = (fitted(histories) for histories in both)
    return Setting(data, vectors, keeps_seen, {name: (early[name], late[name]) for name in early})


def _one_seed(setting: Setting, settings: TowerSettings) -> tuple[dict[str, dict[str, Answers]], dict[str, Any]]:
    """The answers of the learnt methods of one seed to the test."""
    bare = _towers(setting, settings, None)
    rich = bare if setting.vectors is None else _towers(setting, settings, setting.vectors)
    scorers = [models.by_towers(trained.towers) for trained in (*bare, *rich)]
    asked = {"two_tower_train_only": _answered(scorers[0], setting), "two_tower": _answered(scorers[1], setting)}
    early, late = {"two_tower": scorers[2]}, {"two_tower": scorers[3]}
    if setting.vectors is not None:
        asked["two_tower_content"] = _answered(scorers[3], setting)
        early, late = {**early, "two_tower_ids": scorers[0]}, {**late, "two_tower_ids": scorers[1]}
    questions = models.sampled(setting.data.valid, FUSED_QUESTIONS)
    if len(early) > 1:
        both = fit_fusion(early, questions, keeps_seen=setting.keeps_seen)
        asked["towers"] = _fused_answered(fused(late, both, keeps_seen=setting.keeps_seen), setting)
    early |= {name: pair[0] for name, pair in setting.counting.items()}
    late |= {name: pair[1] for name, pair in setting.counting.items()}
    fusion = fit_fusion(early, questions, keeps_seen=setting.keeps_seen)
    asked["hybrid"] = _fused_answered(fused(late, fusion, keeps_seen=setting.keeps_seen), setting)
    names = [*early, *(f"log share of {name}" for name in early)]
    return asked, {
        "best_step": bare[0].best_step,
        "best_step_content": rich[0].best_step,
        "valid_curve": [[point["step"], point["measure"]] for point in rich[0].curve if "measure" in point],
        "fusion": {name: round(float(weight), 3) for name, weight in zip(names, fusion.weights, strict=True)},
    }


def _towers(setting: Setting, settings: TowerSettings, vectors: Floats | None) -> tuple[Trained, Trained]:
    """The towers without the validation, stopped by it, and those of as many steps with it."""
    data, count = setting.data, setting.data.count_items
    label = "ids" if vectors is None else "ids and content"
    measure = models.tail_measure(data.valid, keeps_seen=setting.keeps_seen) if len(data.valid) else None
    early = models.towers_of(data.train, vectors, count, settings, measure=measure, label=label)
    steps = max(early.best_step, 1) if early.curve else None  # no curve: nothing to learn from before the validation
    late = models.towers_of(data.train_and_valid, vectors, count, settings, steps=steps, label=f"{label}, refit")
    return early, late


def _answered(scorer: Scorer, setting: Setting) -> dict[str, Answers]:
    """The answers to the test, by stratum."""
    test = setting.data.test
    if setting.keeps_seen:
        return {"all": answer(scorer, test, keeps_seen=True)}
    return {"all": answer(scorer, test, keeps_seen=False), "seen_listed": answer(scorer, test, keeps_seen=True)}


def _fused_answered(scorer: Scorer, setting: Setting) -> dict[str, Answers]:
    """As `_answered`, without `seen_listed`: weights fitted on lists without seen items do not fit lists with them."""
    return {"all": answer(scorer, setting.data.test, keeps_seen=setting.keeps_seen)}


def _scores(answered: Mapping[str, Answers], popularity: np.ndarray) -> Scores:
    """The scores of one run; `popularity` (I,)."""
    return Scores(
        {stratum: sequence_metrics(found) for stratum, found in answered.items()},
        breadth={stratum: breadth(found.lists, popularity) for stratum, found in answered.items()},
    )


def _ratios(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """ndcg@10 of the hybrid over that of each other method, on the same users."""
    values = {name: found.values["all"]["ndcg@10"] for name, found in scores.items()}
    ratios = {name: ratio(values["hybrid"], other) for name, other in values.items() if name != "hybrid"}
    return {name: None if found is None else found.to_json() for name, found in ratios.items()}


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender bench sequences", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="Parquet with the columns user and items")
    parser.add_argument("--items", type=Path, help="Parquet or CSV with item and what is known of it: title, …")
    parser.add_argument("--seeds", type=_seeds, default=[1, 2, 3], help="comma separated")
    parser.add_argument(
        "--steps", type=int, default=8000, help="most training steps of a tower, a bound for large data"
    )
    parser.add_argument("--out", type=Path, help="folder for the report, its plots and the result")
    parser.add_argument("--peers", type=Path, help="Python of the peers' environment (make bench-peers)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
