"""Serving benchmark: what a page of twelve placements costs in processor time, on a published bundle.

    python -m benchmarks.serving [--artifacts DIR] [--pages N] [--seed S] [--out DIR]

Visitors are simulated, drawn by what is popular; the code is the whole use case without its stores. `answers` is a
digest of every page: equal before and after a change, it says that the change left each list, score and reason as it
was. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from recommender.contracts.api import parse_recommendations
from recommender.contracts.fields import problem
from recommender.contracts.placements import DEFAULT
from recommender.contracts.requests import RecommendCommand
from recommender.domain.experiments.running.config import default_config, first_snapshot
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.visit import PurchaseHistory, Shopper
from recommender.domain.serving.visitor import days_since_epoch
from recommender.use_cases.recommend import recommend
from tqdm import tqdm

from benchmarks import cli as door
from benchmarks.cli import describe_machine
from benchmarks.report import Section

LABEL: Final = "simulated visitors"
NOW: Final = datetime(2026, 11, 16, 18, tzinfo=UTC)
KINDS: Final = ("stranger", "visit", "known", "known_visit")
HISTORY: Final = (20, 500)  # distinct items that a known shopper has bought
EVENTS: Final = (1, 12)  # of a visit
ROUNDS: Final = 3
NAMES: Final = ("view_item", "view_item", "view_item", "select_item", "add_to_cart")
PLACEMENTS: Final = [{"placement": placement.placement_id} for placement in DEFAULT]

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class PageView:
    """One request, and the shopper who makes it."""

    command: RecommendCommand
    shopper: Shopper | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    return door.answer(lambda: run(options.artifacts, options.pages, options.seed), options.out, sections=sections)


def run(artifacts: Path, count_pages: int, seed: int) -> dict[str, Any]:
    """CPU milliseconds of a page, by what is known of the visitor, and of the stages."""
    if count_pages < len(KINDS):
        raise problem("--pages", count_pages, f"at least {len(KINDS)}")
    store = FolderArtifacts(artifacts)
    with tempfile.TemporaryDirectory() as cache:
        began = time.process_time()
        bundle = load_bundle(store, current_bundle_id(store), Path(cache))
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
        "seeds": [seed],
        "machine": describe_machine(),
    }


def page_views(bundle: Bundle, count: int, rng: np.random.Generator) -> list[PageView]:
    """Page views of each kind of visitor in turn, on home, product, category and cart pages."""
    return [_page_view(bundle, n, KINDS[n % len(KINDS)], rng) for n in range(count)]


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
    """The table of the report."""
    rows = {"all": result["handler"], **result["by_visitor"]}
    table = [(kind, str(figures["cpu_ms_p50"]), str(figures["cpu_ms_p99"])) for kind, figures in rows.items()]
    return [Section("Processor time of a page, in ms", LABEL, ("visitor", "p50", "p99"), table)]


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


def _page_view(bundle: Bundle, n: int, kind: str, rng: np.random.Generator) -> PageView:
    share = np.exp(bundle.prior.log_share.astype(np.float64))

    def items(count: int) -> list[str]:
        wanted = min(count, bundle.count_items)
        return [bundle.id_of(int(row)) for row in rng.choice(bundle.count_items, wanted, False, share / share.sum())]

    pages: tuple[dict[str, Any], ...] = (
        {"page": {"type": "home"}},
        {"page": {"type": "product", "item_id": items(1)[0]}},
        {"page": {"type": "category", "category": bytes(rng.choice(bundle.items.categories)).decode()}},
        {"page": {"type": "cart"}, "context": {"cart_item_ids": items(3)}},
    )
    seen = items(int(rng.integers(*EVENTS))) if "visit" in kind else []
    events = [
        {
            "event_id": f"e{place}",
            "event_name": str(rng.choice(NAMES)),
            "event_time": (NOW - timedelta(minutes=len(seen) - place)).isoformat(),
            "items": [{"item_id": item_id}],
        }
        for place, item_id in enumerate(seen)
    ]
    body = {"visitor_id": f"v{n}", "session_id": f"s{n}", "placements": PLACEMENTS, "events": events}
    command = parse_recommendations({**body, **pages[int(rng.integers(len(pages)))]}, now=NOW)
    return PageView(command, _shopper(f"v{n}", items(int(rng.integers(*HISTORY))), rng) if "known" in kind else None)


def _shopper(shopper_id: str, item_ids: Sequence[str], rng: np.random.Generator) -> Shopper:
    count, today = len(item_ids), days_since_epoch(NOW)
    first_on = today - rng.uniform(1, 360, count)
    last_on = rng.uniform(first_on, today)
    orders = rng.integers(1, 10, count)
    history = PurchaseHistory(
        tuple(item_ids), tuple(orders.tolist()), tuple(last_on.tolist()), tuple(first_on.tolist()), int(orders.max())
    )
    return Shopper(shopper_id, history, cohort=int(rng.integers(12)))


def _quantiles(seconds: np.ndarray) -> dict[str, float]:
    p50, p99 = np.quantile(seconds, (0.5, 0.99)) * 1000
    return {"cpu_ms_p50": round(float(p50), 2), "cpu_ms_p99": round(float(p99), 2)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.split("\n")[0])
    parser.add_argument("--artifacts", type=Path, default=Path(".local/artifacts"), help="the published bundles")
    parser.add_argument("--pages", type=int, default=400, help="page views, each measured three times")
    parser.add_argument("--seed", type=int, default=1, help="of the visitors")
    parser.add_argument("--out", type=Path, help="folder for the report")
    return parser


if __name__ == "__main__":
    sys.exit(main())
