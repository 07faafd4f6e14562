"""Serving benchmark: what a page of twelve placements costs in processor time, on a published bundle.

    recommender bench serving [--artifacts DIR] [--items N] [--pages N] [--seed S] [--out DIR]

Visitors are simulated, drawn by what is popular. First the use case without its stores: `answers` is a digest of
every page; equal before and after a change, it says that the change left each list, score and reason as it was. Then
the whole function, from API Gateway's event to its JSON, on the published bundle and on a made-up one of --items
items: `bundles` (benchmarks/serving/whole.py). The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from recommender.adapters.bundle import load_bundle
from recommender.adapters.bundle_files import current_bundle_id
from recommender.adapters.folder import FolderArtifacts
from recommender.adapters.memory.sources import (
    MemoryBundles,
    MemoryOverrides,
    MemorySessions,
    MemoryShoppers,
    MemorySnapshots,
    MemoryState,
)
from recommender.contracts.answers import PageAnswer
from recommender.contracts.fields import problem
from recommender.contracts.placements import DEFAULT
from recommender.domain.experiments.running.config import default_config, first_snapshot
from recommender.domain.models.bundle import Bundle
from recommender.errors import NotFound
from recommender.use_cases.recommend import recommend
from tqdm import tqdm

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.report import Section
from benchmarks.serving.synthetic import publish_synthetic
from benchmarks.serving.visitors import KINDS, NOW, PageView, page_views
from benchmarks.serving.whole import measure_handler
from training_jobs.content_bert.model import load_pretrained

LABEL: Final = "simulated visitors"
ROUNDS: Final = 3
FEWEST_ITEMS: Final = 500  # of a synthetic bundle, so that no list runs out of items

Clock = Callable[[], float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    return cli.answer(
        lambda: run(options.artifacts, options.pages, options.seed, options.items), options.out, sections=sections
    )


def run(artifacts: Path, count_pages: int, seed: int, count_items: int) -> dict[str, Any]:
    """The use case's figures, and those of the whole function on each bundle."""
    if count_pages < len(KINDS):
        raise problem("--pages", count_pages, f"at least {len(KINDS)}")
    if 0 != count_items < FEWEST_ITEMS:
        raise problem("--items", count_items, f"at least {FEWEST_ITEMS}, or 0 for no synthetic bundle")
    store = FolderArtifacts(artifacts)
    with tempfile.TemporaryDirectory() as cache:
        result = run_use_case(store, Path(cache), count_pages, seed)
        bundles = {"local": measure_handler(store, Path(cache), count_pages, seed)}
    if count_items:
        bundles["synthetic"] = _synthetic(count_items, count_pages, seed)
    return {**result, "bundles": bundles, "seeds": [seed], "machine": describe_machine()}


def run_use_case(store: FolderArtifacts, cache_dir: Path, count_pages: int, seed: int) -> dict[str, Any]:
    """CPU milliseconds of a page, by what is known of the visitor, and of the stages."""
    bundle_id = _in_force(store)
    began = time.process_time()
    bundle = load_bundle(store, bundle_id, cache_dir)
    load_ms = (time.process_time() - began) * 1000
    views = page_views(bundle, count_pages, np.random.default_rng(seed))
    answers = hashlib.sha256("".join(repr(answered(bundle, view, lambda: 0.0)) for view in views).encode())
    spent, stages = _measure(bundle, views)
    return {
        "benchmark": "serving",
        "label": LABEL,
        "data": {
            "bundle": bundle.bundle_id,
            "items": bundle.count_items,
            "pages": count_pages,
            "placements": len(DEFAULT),
        },
        "handler": _quantiles(spent),
        "by_visitor": {kind: _quantiles(spent[:, n :: len(KINDS)]) for n, kind in enumerate(KINDS)},
        "stages": stages,
        "bundle_load_ms": round(load_ms),
        "answers": answers.hexdigest(),
    }


def answered(bundle: Bundle, view: PageView, clock: Clock) -> PageAnswer:
    """The page, from stores in memory."""
    shoppers = MemoryShoppers([view.shopper] if view.shopper else [])
    return recommend(
        view.command,
        now=NOW,
        state=MemoryState(MemorySessions(), shoppers),
        bundles=MemoryBundles(bundle),
        snapshots=MemorySnapshots(first_snapshot(default_config(NOW), NOW)),
        overrides=MemoryOverrides(),
        secret=b"a secret of the benchmark",
        new_id=lambda: "r_benchmark",
        clock=clock,
    )


def sections(result: Mapping[str, Any]) -> list[Section]:
    """The tables of the report."""
    rows = {"all": result["handler"], **result["by_visitor"]}
    table = [(kind, str(figures["cpu_ms_p50"]), str(figures["cpu_ms_p99"])) for kind, figures in rows.items()]
    return [
        Section("Processor time of a page, in ms", LABEL, ("visitor", "p50", "p99"), table),
        Section(
            "The whole function, from API Gateway's event to its JSON",
            "Processor time of a request over that of a fixed piece of numpy, and over that of the use case alone.",
            ("bundle", "items", "handler / numpy", "handler / use case", "p50 ms", "p95 ms", "p99 ms", "answer, bytes"),
            [_bundle_row(name, figures) for name, figures in result["bundles"].items()],
        ),
    ]


def _bundle_row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    handler = figures["handler"]
    ratios = (handler["over_numpy"], handler["over_use_case"])
    return (
        name,
        f"{figures['items']:,}",
        *(f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]" for ratio in ratios),
        *(str(handler[f"cpu_ms_{quantile}"]) for quantile in ("p50", "p95", "p99")),
        f"{figures['answer_bytes']:,}",
    )


def _in_force(store: FolderArtifacts) -> str:
    try:
        return current_bundle_id(store)
    except NotFound as error:
        expected = "a folder with a published bundle; run `make run` first"
        raise problem("--artifacts", str(store.root), expected) from error


def _synthetic(count_items: int, count_pages: int, seed: int) -> dict[str, Any]:
    """The whole function's figures on a bundle that is made for the purpose."""
    with tempfile.TemporaryDirectory() as folder:
        cli.progress(f"making a bundle of {count_items} items")
        store = publish_synthetic(Path(folder) / "artifacts", count_items, load_pretrained())
        return measure_handler(store, Path(folder) / "cache", count_pages, seed)


def _measure(bundle: Bundle, views: Sequence[PageView]) -> tuple[np.ndarray, dict[str, float]]:
    """(rounds, pages) seconds, and the median milliseconds of each stage."""
    spent = np.empty((ROUNDS, len(views)))
    laps: dict[str, list[float]] = {}
    for n, view in enumerate(tqdm([*views] * ROUNDS, desc="pages", file=sys.stderr)):
        began = time.process_time()
        page = answered(bundle, view, time.process_time)
        spent.flat[n] = time.process_time() - began
        for stage, milliseconds in page.timing_ms.items():
            laps.setdefault(stage, []).append(milliseconds)
    return spent, {stage: round(float(np.median(found)), 2) for stage, found in laps.items()}


def _quantiles(seconds: np.ndarray) -> dict[str, float]:
    p50, p99 = np.quantile(seconds, (0.5, 0.99)) * 1000
    return {"cpu_ms_p50": round(float(p50), 2), "cpu_ms_p99": round(float(p99), 2)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender bench serving", description=__doc__.split("\n")[0])
    parser.add_argument("--artifacts", type=Path, default=Path(".local/artifacts"), help="the published bundles")
    parser.add_argument("--items", type=int, default=100_000, help="of the synthetic bundle; 0 for none")
    parser.add_argument("--pages", type=int, default=400, help="page views, each measured three times")
    parser.add_argument("--seed", type=int, default=1, help="of the visitors")
    parser.add_argument("--out", type=Path, help="folder for the report")
    return parser


if __name__ == "__main__":
    sys.exit(main())
