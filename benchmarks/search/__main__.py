"""Search benchmark: graded judgments of queries over a catalogue.

    recommender bench search --products FILE --judgments FILE [--columns ours=theirs,...] [--seeds 1,2,3] [--out DIR]

Progress goes to stderr; the last line of stdout is one JSON object (documented in docs/benchmarks.md). Judgments are
used for scores and for nothing else. docs/decisions, 105 to 109, list what development saw of one judged set.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recommender.domain.models.arrays import Doubles
from recommender.domain.models.search import LexicalIndex, lexical_scores

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.scores import Scores, mean_of, rounded_mean
from benchmarks.search.data import SearchData, load
from benchmarks.search.models import (
    Encoded,
    LoadModel,
    Search,
    fused,
    pretrained,
    score,
    search_cost,
    tuned,
)
from training_jobs.content_bert.lexical import build_index
from training_jobs.content_bert.model import load_pretrained
from training_jobs.intervals import difference, ratio

MAIN = "ndcg@10"
PROTOCOL = {
    "all": "ndcg@10 ranks the items that were judged for the query (an unjudged item is unknown, not irrelevant); "
    "recall@50 counts the relevant ones among the first 50 of the full catalogue",
    "judged_pool": "ranks all items judged for any query; a pair nobody judged counts as irrelevant",
    "full_catalogue": "ranks every item; a pair nobody judged counts as irrelevant",
    "queries": "queries without a relevant item are left out; gain 2^grade - 1; equal scores share their expected gain",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)

    def asked() -> dict[str, Any]:
        data = load(options.products, options.judgments, options.columns)
        result = run(data, options.seeds, seconds=options.tune_seconds)
        return {
            **result,
            "data": {"products": options.products.name, "judgments": options.judgments.name, **data.facts},
        }

    return cli.answer(asked, options.out)


def run(
    data: SearchData, seeds: Sequence[int], *, seconds: float, load_model: LoadModel = load_pretrained
) -> dict[str, Any]:
    """All methods; the seed decides which pairs the tuning sees, and in which order."""
    index = build_index(data.fields)

    def words(number: int) -> Doubles:
        return lexical_scores(index, data.judged[number].query)

    cli.progress(f"{data.count_items} items, {len(index.terms)} terms, {len(data.judged)} queries")
    untuned = pretrained(data, load_model)
    single = {
        "bm25": _scored("bm25", words, data),
        "bert_pretrained": _scored("bert_pretrained", untuned.search, data),
        "bm25 + bert_pretrained": _scored("bm25 + bert_pretrained", fused(words, untuned.search), data),
    }
    by_seed: dict[int, dict[str, Scores]] = {}
    models: list[Encoded] = []
    for seed in seeds:
        model = tuned(data, load_model, seed, seconds=seconds, untuned=untuned)
        models.append(model)
        by_seed[seed] = {
            "bert_tuned": _scored(f"bert_tuned, seed {seed}", model.search, data),
            "bert_tuned_fp32": _scored(f"bert_tuned, fp32 queries, seed {seed}", model.search_exactly, data),
            "hybrid": _scored(f"hybrid, seed {seed}", fused(words, model.search), data),
        }
    learnt = {name: [found[name] for found in by_seed.values()] for name in next(iter(by_seed.values()))}
    all_runs = {**{name: [found] for name, found in single.items()}, **learnt}
    return _result(all_runs, data, models, index, by_seed)


def _result(
    runs: Mapping[str, Sequence[Scores]],
    data: SearchData,
    models: Sequence[Encoded],
    index: LexicalIndex,
    by_seed: Mapping[int, Mapping[str, Scores]],
) -> dict[str, Any]:
    means = {name: mean_of(found) for name, found in runs.items()}
    values = {name: found.values for name, found in means.items()}
    shown = ("bm25", "bert_pretrained", "bert_tuned", "hybrid")
    ablation = {"bm25": "bm25", "with bert_pretrained": "bm25 + bert_pretrained", "with bert_tuned": "hybrid"}
    return {
        "benchmark": "search",
        "protocol": PROTOCOL,
        "methods": {name: means[name].means() for name in shown},
        "intervals": {name: means[name].intervals() for name in shown},
        "ratios": _against(values, "hybrid", shown[:-1], ratio),
        "differences": {
            "hybrid": _against(values, "hybrid", shown[:-1], difference),
            "bert_tuned": _against(values, "bert_tuned", ("bert_pretrained", "bm25"), difference),
        },
        "ablation": {name: means[found].means() for name, found in ablation.items()},
        "int8": _int8(values, models),
        "cost": {
            **_mean_costs([model.cost for model in models]),
            **search_cost(index, models[-1], [one.query for one in data.judged]),
        },
        "seeds": list(by_seed),
        "by_seed": {
            str(seed): {name: {MAIN: rounded_mean(one.values["all"][MAIN])} for name, one in found.items()}
            for seed, found in by_seed.items()
        },
        "chosen_on_tail": [model.metrics for model in models],
        "machine": describe_machine(),
    }


def _against(
    values: Mapping[str, Mapping[str, Mapping[str, Doubles]]], name: str, others: Sequence[str], compare: Any
) -> dict[str, dict[str, Any]]:
    """stratum -> other -> how much better `name` finds the same queries."""
    found: dict[str, dict[str, Any]] = {}
    for stratum, metrics in values[name].items():
        for other in others:
            estimate = compare(metrics[MAIN], values[other][stratum][MAIN])
            if estimate is not None:
                found.setdefault(stratum, {})[other] = estimate.to_json()
    return found


def _int8(values: Mapping[str, Mapping[str, Mapping[str, Doubles]]], models: Sequence[Encoded]) -> dict[str, Any]:
    """The loss by the int8 query encoder against the same weights in fp32, on the same item vectors."""
    served, exact = values["bert_tuned"], values["bert_tuned_fp32"]
    sides = {"int8": served, "fp32": exact}
    return {
        **{
            f"{stratum}/{MAIN}": {name: rounded_mean(side[stratum][MAIN]) for name, side in sides.items()}
            for stratum in served
        },
        "difference": _against(sides, "int8", ("fp32",), difference),
        "agreement": models[-1].metrics.get("int8", {}),
    }


def _mean_costs(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([cost[name] for cost in costs])), 3) for name in costs[0]}


def _scored(label: str, search: Search, data: SearchData) -> Scores:
    found = score(search, data.judged, label=label)
    metrics = {
        f"{stratum} {metric}": rounded_mean(v)
        for stratum, metrics in found.values.items()
        for metric, v in metrics.items()
    }
    cli.progress(f"{label}: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    return found


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _columns(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    if not all(ours and theirs for ours, _, theirs in pairs):
        raise argparse.ArgumentTypeError(f"{text!r}: expected ours=theirs,ours=theirs")
    return {ours: theirs for ours, _, theirs in pairs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender bench search", description=__doc__.split("\n")[0])
    parser.add_argument("--products", type=Path, required=True, help="Parquet, CSV or JSON lines")
    parser.add_argument("--judgments", type=Path, required=True, help="Parquet, CSV or JSON lines")
    parser.add_argument("--columns", type=_columns, default={}, help="ours=theirs,... where names differ")
    parser.add_argument("--seeds", type=_seeds, default=[1, 2, 3], help="comma separated")
    parser.add_argument("--tune-seconds", type=float, default=90.0, help="most CPU seconds of one tuning")
    parser.add_argument("--out", type=Path, help="folder for plots and the result")
    return parser


if __name__ == "__main__":
    sys.exit(main())
