"""Next-item benchmark: every prefix of every test session, full catalogue, repeats allowed.

    recommender bench next-item --data DIR [--min-prefix 1] [--seeds 1,2,3] [--out DIR] [--peers PYTHON]

Progress goes to stderr; the last line of stdout is one JSON object (benchmarks documented in docs/benchmarks.md).
Everything that is chosen is chosen on the newest train sessions; test is read once, to be scored.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.next_item import data as baselines
from benchmarks.next_item.ablation import ablate, peer_answers, serving_cost
from benchmarks.next_item.data import NextItemData, load, score, score_openings, strata_of
from benchmarks.scores import Metrics, Scores, mean_of
from training_jobs.next_item.encoder import EncoderSettings
from training_jobs.next_item.encoder_training import TrainingSettings
from training_jobs.next_item.prefixes import Answers, Prefixes
from training_jobs.next_item.session_model import SessionModel, SessionModelSettings, fit_session_model

Scorer = Callable[[str, Answers], Scores]
BASELINES: dict[str, Callable[[NextItemData, Prefixes], Answers]] = {
    "popular": baselines.popular,
    "popular_recent": baselines.popular_recent,
    "session_popular": baselines.session_popular,
    "item_knn": baselines.item_knn,
    "markov": baselines.markov,
}
OPENERS = ("popular", "popular_recent")  # methods with an answer before the first event
SHOWN_OF_ABLATION = ("hr@20", "mrr@20")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    return cli.answer(lambda: run(load(options.data, min_prefix=options.min_prefix), options), options.out)


def run(data: NextItemData, options: argparse.Namespace) -> dict[str, Any]:
    """All methods on one data set; seeds concern the methods that are learnt."""
    scorer = _scorer(data)
    methods = {name: scorer(name, answer(data, data.test)) for name, answer in BASELINES.items()}
    if len(data.openings):
        for name in OPENERS:
            methods[name] = methods[name].joined(score_openings(BASELINES[name](data, data.openings), data.openings))
    answered, peers = peer_answers(options.peers, data, data.test) if options.peers else ({}, {})
    methods |= {name: scorer(name, answers) for name, answers in answered.items()}
    settings = _settings(options)
    by_seed: dict[int, dict[str, Scores]] = {}
    models: list[SessionModel] = []
    ablation: dict[str, Metrics] = {}
    for seed in options.seeds:
        model = _fitted(data, settings, seed, keeps_questions=options.ablation and seed == options.seeds[0])
        by_seed[seed] = {
            name: scorer(f"{name}, seed {seed}", answers) for name, answers in model.answers(data.test).items()
        }
        if options.ablation and not models:
            variants = ablate(model, data.test, settings.fitting)
            scored = {name: scorer(name, answers) for name, answers in variants.items()}
            ablation = _shown({"hybrid": by_seed[seed]["hybrid"], **scored})
        models.append(replace(model, questions=None))
    for name in next(iter(by_seed.values())):
        methods[name] = mean_of([scored[name] for scored in by_seed.values()])
    if len(data.openings):  # without a visit the prior answers, in the product too
        prior = baselines.popular_recent(data, data.openings)
        methods["hybrid"] = methods["hybrid"].joined(score_openings(prior, data.openings))
    return {
        "benchmark": "next_item",
        "data": {"path": options.data.name, "min_prefix": options.min_prefix, **data.facts},
        "methods": {name: scored.means() for name, scored in methods.items()},
        "intervals": {name: scored.intervals() for name, scored in methods.items()},
        **({"ablation": ablation} if ablation else {}),
        **({"peers": peers} if peers else {}),
        "cost": {
            "fit_cpu_seconds": round(float(np.mean([model.cpu_seconds for model in models])), 1),
            **serving_cost(models[-1], data.test),
        },
        "seeds": options.seeds,
        "by_seed": {
            str(seed): {name: scored.means()["all"] for name, scored in found.items()}
            for seed, found in by_seed.items()
        },
        "chosen_on_tail": [_chosen(model) for model in models],
        "curves": {
            f"session encoder, seed {seed}": {"loss": model.run.curve}
            for seed, model in zip(options.seeds, models, strict=True)
        },
        "machine": describe_machine(),
    }


def _scorer(data: NextItemData) -> Scorer:
    strata = strata_of(data.test)
    popularity = np.bincount(data.train.items, minlength=data.count_items).astype(np.float64)

    def scored(name: str, answers: Answers) -> Scores:
        found = score(answers, data.test, strata, popularity)
        means = found.means()["all"]
        cli.progress(f"{name}: hr@20 {means['hr@20']:.4f} mrr@20 {means['mrr@20']:.4f}")
        return found

    return scored


def _settings(options: argparse.Namespace) -> SessionModelSettings:
    return SessionModelSettings(
        EncoderSettings(width=options.width),
        TrainingSettings(epochs=options.epochs, seconds=options.encoder_seconds),
    )


def _fitted(data: NextItemData, settings: SessionModelSettings, seed: int, *, keeps_questions: bool) -> SessionModel:
    seeded = replace(
        settings,
        training=replace(settings.training, seed=seed),
        fitting=replace(settings.fitting, seed=seed),
        keeps_questions=keeps_questions,
    )
    cli.progress(f"seed {seed}: fitting on {len(data.train)} sessions")
    return fit_session_model(data.train, data.days, count_items=data.count_items, settings=seeded, report=cli.progress)


def _shown(variants: dict[str, Scores]) -> dict[str, Metrics]:
    return {
        name: {
            stratum: {metric: values[metric] for metric in SHOWN_OF_ABLATION}
            for stratum, values in scored.means().items()
        }
        for name, scored in variants.items()
    }


def _chosen(model: SessionModel) -> dict[str, Any]:
    return {
        "knn": str(model.knn),
        "fusion": str(model.fusion),
        "epochs": round(model.run.epochs, 2),
        "marks": {name: round(score, 5) for name, score in model.choices.items()},
    }


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender bench next-item", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of train_ and test_sessions.parquet")
    parser.add_argument("--min-prefix", type=int, default=1, help="fewest events before a question")
    parser.add_argument("--seeds", type=_seeds, default=[1, 2, 3], help="comma separated")
    parser.add_argument("--out", type=Path, help="folder for plots and the result")
    parser.add_argument("--peers", type=Path, help="interpreter of the environment with other people's recommenders")
    parser.add_argument("--ablation", action=argparse.BooleanOptionalAction, default=True, help="what each part adds")
    parser.add_argument("--width", type=int, default=128, help="of the encoder")
    parser.add_argument("--epochs", type=float, default=4.0, help="of each training of the encoder")
    parser.add_argument("--encoder-seconds", type=float, default=0.0, help="most CPU seconds of its training; 0: any")
    return parser


if __name__ == "__main__":
    sys.exit(main())
