"""Next-item benchmark: every prefix of every test session, full catalogue, repeats allowed.

    python -m benchmarks.next_item --data DIR [--min-prefix 1] [--seeds 1,2,3] [--out DIR]

Progress goes to stderr; the last line of stdout is one JSON object (benchmarks documented in docs/benchmarks.md).
Everything that is chosen is chosen on the newest train sessions; test is read once, to be scored.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recommender.errors import RecommenderError

from benchmarks import next_item_baselines as baselines
from benchmarks.machine import describe_machine
from benchmarks.next_item_cost import serving_cost
from benchmarks.next_item_data import NextItemData, load
from benchmarks.next_item_plots import draw
from training_jobs.session_ranker.encoder import EncoderSettings
from training_jobs.session_ranker.encoder_training import TrainingSettings
from training_jobs.session_ranker.prefixes import Answers, Prefixes, marks
from training_jobs.session_ranker.session_model import SessionModel, SessionModelSettings, fit_session_model

Marks = dict[str, dict[str, float]]  # stratum -> metric -> value
BASELINES: dict[str, Callable[[NextItemData, Prefixes], Answers]] = {
    "popular": baselines.popular,
    "popular_recent": baselines.popular_recent,
    "item_knn": baselines.item_knn,
    "markov": baselines.markov,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    try:
        data = load(options.data, min_prefix=options.min_prefix)
    except RecommenderError as error:
        print(error.detail, file=sys.stderr)
        return 2
    result = run(data, options)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        draw(result, options.out)
        (options.out / "next_item.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result), flush=True)
    return 0


def run(data: NextItemData, options: argparse.Namespace) -> dict[str, Any]:
    """All methods on one data set; seeds concern the methods that are learnt."""
    strata = strata_of(data.test)
    methods: dict[str, Marks] = {}
    for name, answer in BASELINES.items():
        methods[name] = _scored(name, answer(data, data.test), data.test, strata)
    by_seed: dict[int, dict[str, Marks]] = {}
    models: list[SessionModel] = []
    for seed in options.seeds:
        model = _fitted(data, options, seed)
        models.append(model)
        by_seed[seed] = {
            name: _scored(f"{name}, seed {seed}", answers, data.test, strata)
            for name, answers in model.answers(data.test).items()
        }
    for name in next(iter(by_seed.values())):
        methods[name] = _mean([marked[name] for marked in by_seed.values()])
    return {
        "benchmark": "next_item",
        "data": {"path": options.data.name, "min_prefix": options.min_prefix, **data.facts},
        "methods": methods,
        "cost": {
            "fit_cpu_seconds": round(float(np.mean([model.cpu_seconds for model in models])), 1),
            **serving_cost(models[-1], data.test),
        },
        "seeds": options.seeds,
        "by_seed": {str(seed): {name: marked[name]["all"] for name in marked} for seed, marked in by_seed.items()},
        "chosen_on_tail": [_chosen(model) for model in models],
        "machine": describe_machine(),
    }


def strata_of(prefixes: Prefixes) -> dict[str, np.ndarray]:
    """The prefixes of each stratum."""
    lengths = prefixes.lengths
    return {
        "all": np.ones(len(prefixes), bool),
        **{f"events_{count}": lengths == count for count in (1, 2, 3)},
        "events_4plus": lengths >= 4,
        "no_repeats": ~prefixes.repeats(),
    }


def _fitted(data: NextItemData, options: argparse.Namespace, seed: int) -> SessionModel:
    settings = SessionModelSettings(
        EncoderSettings(width=options.width),
        TrainingSettings(epochs=options.epochs, seconds=options.encoder_seconds, seed=seed),
    )
    _say(f"seed {seed}: fitting on {len(data.train)} sessions")
    return fit_session_model(data.train, data.days, count_items=data.count_items, settings=settings, report=_say)


def _scored(name: str, answers: Answers, prefixes: Prefixes, strata: dict[str, np.ndarray]) -> Marks:
    found = marks(answers, prefixes.targets)
    scored = {
        stratum: {metric: round(float(values[chosen].mean()), 5) for metric, values in found.items()}
        for stratum, chosen in strata.items()
        if chosen.any()
    }
    line = scored.get("all", {})
    _say(f"{name}: hr@20 {line.get('hr@20', 0.0):.4f} mrr@20 {line.get('mrr@20', 0.0):.4f}")
    return scored


def _mean(runs: list[Marks]) -> Marks:
    return {
        stratum: {metric: round(float(np.mean([run[stratum][metric] for run in runs])), 5) for metric in metrics}
        for stratum, metrics in runs[0].items()
    }


def _chosen(model: SessionModel) -> dict[str, Any]:
    return {
        "knn": str(model.knn),
        "fusion": str(model.fusion),
        "epochs": round(model.run.epochs, 2),
        "marks": {name: round(mark, 5) for name, mark in model.choices.items()},
        "curve": model.run.curve,
    }


def _say(line: str) -> None:
    print(f"[{time.process_time():7.1f} s CPU] {line}", file=sys.stderr, flush=True)


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.next_item", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of train_ and test_sessions.parquet")
    parser.add_argument("--min-prefix", type=int, default=1, help="fewest events before a question")
    parser.add_argument("--seeds", type=_seeds, default=[1, 2, 3], help="comma separated")
    parser.add_argument("--out", type=Path, help="folder for plots and the result")
    parser.add_argument("--width", type=int, default=128, help="of the encoder")
    parser.add_argument("--epochs", type=float, default=8.0, help="of the encoder")
    parser.add_argument("--encoder-seconds", type=float, default=0.0, help="most CPU seconds of its training; 0: any")
    return parser


if __name__ == "__main__":
    sys.exit(main())
