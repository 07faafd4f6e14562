"""What the whole function costs: CPU time of requests against that of a fixed piece of numpy, measured in turn.

    over_numpy      a request of the function / the yardstick
    over_use_case   a request of the function / the use case alone: what parsing, key, state, log and JSON add
Both are ratios of means within a round, since a machine that is slow for a while is slow for all three, and are given
as the median of the rounds, with the second lowest and the second highest: of nine rounds a 96 % interval. The
yardstick reads 100,000 vectors of 64 numbers and keeps the 500 best: what retrieval costs without a graph. The use
case has a bundle of its own, and the yardstick runs before it too, so that neither finds what the other has cached.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from recommender.adapters.bundle import load_bundle
from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.sessions import DynamoSessions
from recommender.adapters.dynamodb.state import DynamoShoppers
from recommender.adapters.http import Handler
from recommender.adapters.memory.sources import (
    MemoryBundles,
    MemoryOverrides,
    MemorySessions,
    MemoryShoppers,
    MemorySnapshots,
    MemoryState,
)
from recommender.contracts.placements import HIDDEN_REASONS
from recommender.domain.experiments.running.config import default_config, first_snapshot
from recommender.domain.models.arrays import Doubles
from recommender.domain.models.bundle import Bundle
from recommender.errors import Conflict
from recommender.ports import ArtifactStore
from recommender.use_cases.recommend import recommend
from tqdm import tqdm

from benchmarks.serving.function import SECRET, SESSIONS, SHOPPERS, StoredItems, serving_handler, unheard
from benchmarks.serving.requests import MIX, PageRequest, page_requests
from benchmarks.serving.visitors import KINDS

ROUNDS: Final = 9
SECOND: Final = 1  # from either end, of the sorted rounds
YARDSTICK_SHAPE: Final = (100_000, 64)
YARDSTICK_KEPT: Final = 500
HIDDEN: Final = frozenset(HIDDEN_REASONS.values())


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of each request, (rounds, requests) each; and of the answers the bytes and the lists with items."""

    handler: Doubles
    use_case: Doubles
    numpy: Doubles
    answer_bytes: Doubles
    filled_lists: Doubles


def measure_handler(store: ArtifactStore, cache_dir: Path, pages: int, seed: int) -> dict[str, Any]:
    """The figures of the bundle in force, three requests for each of `pages`. Raises Conflict for a bad answer."""
    stored = Database(StoredItems())
    handler, bundle = serving_handler(store, cache_dir, stored)
    apart = load_bundle(store, bundle.bundle_id, cache_dir)
    each = max(round(3 * pages / ROUNDS / len(MIX)), 1)
    rng, yardstick = np.random.default_rng(seed), _yardstick()

    def measured(count: int) -> Spent:
        return _round(handler, apart, stored, list(page_requests(bundle, count, rng, now=datetime.now(UTC))), yardstick)

    with unheard():
        measured(1)  # caches that last a process are filled
        steps = tqdm(range(ROUNDS), desc=f"{bundle.count_items} items", unit="round", file=sys.stderr)
        rounds = [measured(each) for _ in steps]
    spent = Spent(*(np.stack([getattr(one, name) for one in rounds]) for name in Spent.__slots__))
    return {"bundle": bundle.bundle_id, "items": bundle.count_items, "requests": spent.handler.size, **figures(spent)}


def figures(spent: Spent) -> dict[str, Any]:
    """The ratios with their intervals, and the milliseconds behind them."""
    return {
        "handler": {
            "over_numpy": _ratio(spent.handler, spent.numpy),
            "over_use_case": _ratio(spent.handler, spent.use_case),
            **_quantiles(spent.handler),
        },
        "use_case": _quantiles(spent.use_case),
        "numpy": _quantiles(spent.numpy),
        "by_visitor": {kind: _quantiles(spent.handler[:, n :: len(KINDS)]) for n, kind in enumerate(KINDS)},
        "answer_bytes": int(np.median(spent.answer_bytes)),
        "filled_lists": round(float(spent.filled_lists.mean()), 1),
    }


def _round(
    handler: Handler,
    bundle: Bundle,
    stored: Database,
    requests: Sequence[PageRequest],
    yardstick: Callable[[], object],
) -> Spent:
    """Time each request in turn: the function over `stored`, the use case alone on `bundle`, and the yardstick."""
    now = datetime.now(UTC)
    sessions, shoppers = MemorySessions(), MemoryShoppers()
    for request in requests:
        request.store(DynamoSessions(stored, SESSIONS), DynamoShoppers(stored, SHOPPERS), now=now)
        request.store(sessions, shoppers, now=now)
    alone = _use_case(bundle, MemoryState(sessions, shoppers), now)
    rows = []
    for request in requests:
        handler_seconds, response = _timed(handler, request.event, None)
        before, _ = _timed(yardstick)
        use_case_seconds, _ = _timed(alone, request)
        after, _ = _timed(yardstick)
        answer = checked(request, response)
        filled = sum(bool(entry["items"]) for entry in answer["placements"])
        rows.append((handler_seconds, use_case_seconds, (before + after) / 2, len(response["body"]), filled))
    return Spent(*np.array(rows, np.float64).T)


def checked(request: PageRequest, response: Mapping[str, Any]) -> dict[str, Any]:
    """The answer's body, where it is a whole one: 200, nothing out of order, no list empty without a reason."""
    answer: dict[str, Any] = json.loads(response["body"])
    wrong = []
    if response["statusCode"] != 200 or answer.get("degraded") is not False:
        wrong.append(f"status {response['statusCode']}, degraded: {answer.get('degraded_reason')}")
    else:
        if answer["personalization_level"] != request.level:
            wrong.append(f"level {answer['personalization_level']}, expected {request.level}")
        lists = answer["placements"]
        wrong += [
            f"{entry['placement']} is empty"
            for entry in lists
            if not entry.get("items") and entry.get("hidden_reason") not in HIDDEN
        ]
        if not any(entry.get("items") for entry in lists):
            wrong.append("no list has an item")
    if wrong:
        raise Conflict(f"the {request.page} page of a {request.kind} was answered badly: {'; '.join(wrong)}")
    return answer


def _use_case(bundle: Bundle, state: MemoryState, now: datetime) -> Callable[[PageRequest], object]:
    bundles, overrides = MemoryBundles(bundle), MemoryOverrides()
    snapshots = MemorySnapshots(first_snapshot(default_config(now), now))
    return lambda request: recommend(
        request.command,
        now=now,
        state=state,
        bundles=bundles,
        snapshots=snapshots,
        overrides=overrides,
        secret=SECRET,
        new_id=lambda: "r_benchmark",
    )


def _yardstick() -> Callable[[], object]:
    """The fixed work load; it reads nothing of the product, so that only the machine can change what it costs."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=YARDSTICK_SHAPE).astype(np.float32)
    query = rng.normal(size=YARDSTICK_SHAPE[1]).astype(np.float32)

    def best() -> object:
        scores = vectors @ query
        found = np.argpartition(-scores, YARDSTICK_KEPT)[:YARDSTICK_KEPT]
        return found[np.argsort(-scores[found])]

    return best


def _timed(run: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """CPU seconds of the call, and its answer."""
    began = time.process_time()
    answer = run(*given)
    return time.process_time() - began, answer


def _ratio(above: Doubles, below: Doubles) -> dict[str, float]:
    """Ratio of the means of each round: the median, and all but the lowest and the highest."""
    ratios = np.sort(above.mean(axis=1) / below.mean(axis=1))
    low, high = ratios[SECOND], ratios[-1 - SECOND]
    ends = {"value": np.median(ratios), "low": low, "high": high}
    return {name: round(float(value), 3) for name, value in ends.items()}


def _quantiles(seconds: Doubles) -> dict[str, float]:
    found: Sequence[float] = (np.quantile(seconds, (0.5, 0.95, 0.99)) * 1000).tolist()
    names = ("cpu_ms_p50", "cpu_ms_p95", "cpu_ms_p99")
    return {name: round(value, 2) for name, value in zip(names, found, strict=True)}
