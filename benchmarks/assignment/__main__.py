"""Measures the cost and the reads of assigning 12 placements in a page view: recommender bench assignment

Time is processor time. Visitors are made up, everything else is the product's: the hash, the snapshot in memory, its
refresh. Prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from recommender.adapters.snapshots import CachedSnapshots
from recommender.contracts.placements import DEFAULT
from recommender.domain.experiments.running.assignment import assign
from recommender.domain.experiments.running.config import Snapshot, default_config, first_snapshot

from benchmarks.cli import describe_machine

START: Final = datetime(2026, 11, 2, tzinfo=UTC)
TTL_SECONDS: Final = 3600.0
PLACEMENTS: Final = tuple(placement.placement_id for placement in DEFAULT)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="recommender bench assignment", description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=20_000)
    arguments = parser.parse_args(argv)
    result = measure(arguments.pages, clock_ns=time.thread_time_ns)
    cpu = result["cpu_ms"]
    print(f"{len(PLACEMENTS)} placements, 4 variants, {arguments.pages:,} page views of as many simulated visitors")
    print(f"CPU of a page view: p50 {cpu['p50']:.3f} ms, p99 {cpu['p99']:.3f} ms; reads: {result['reads']} in all")
    print(json.dumps({"benchmark": "assignment", **result, "machine": describe_machine()}))
    return 0


def measure(count_pages: int, *, clock_ns: Callable[[], int]) -> dict[str, Any]:
    """CPU milliseconds of a page view (p50, p99), and the reads of all of them: one, before the first."""
    reads = []

    def load() -> Snapshot:
        reads.append(1)
        config = replace(default_config(START), variants=("cohorts", "hybrid", "hybrid_margin", "another"))
        return first_snapshot(config, START)

    snapshots = CachedSnapshots(load, ttl_seconds=TTL_SECONDS)
    snapshots.current()  # the first page view of a process waits for this
    spent = np.empty(count_pages)  # ns
    for page in range(count_pages):
        visitor = f"v_{page}"
        before = clock_ns()
        snapshot = snapshots.current()
        for placement in PLACEMENTS:
            assign(snapshot, visitor, placement)
        spent[page] = clock_ns() - before
    p50, p99 = np.quantile(spent, (0.5, 0.99)) / 1e6
    return {
        "pages": count_pages,
        "cpu_ms": {"p50": round(float(p50), 4), "p99": round(float(p99), 4)},
        "reads": len(reads),
    }


if __name__ == "__main__":
    raise SystemExit(main())
