"""Measures one epoch job in processor time, at the end of an experiment's month: recommender bench epoch-job

12 placements, 4 variants, 28 days. Counters are simulated; the job is the product's own use case over the store in
memory. The cost of reading the same cells from DynamoDB is measured on one page, from its bytes to the counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import botocore.parsers
import botocore.session
import numpy as np
from recommender.adapters.dynamodb.client import read_items_plainly
from recommender.adapters.dynamodb.counters import addition, read_cell
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.tables import COUNTER_SHARDS, VISITOR_BUCKETS
from recommender.domain.experiments.running.config import ExperimentConfig, default_config, first_snapshot
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.shop_counts import ShopCount
from recommender.ports import StreamPosition
from recommender.use_cases.reallocate_traffic import reallocate_traffic

START: Final = datetime(2026, 11, 2, tzinfo=UTC)
DAYS: Final = 28
DAILY_EXPOSURES: Final = 17_000  # of a placement
CLICK_RATE: Final = 0.018
SEGMENTS: Final = ("prior", "session", "user")
PAGE_ITEMS: Final = 5_000


def main(argv: Sequence[str] | None = None) -> int:
    """Print cells and CPU seconds of daily and of hourly epochs."""
    parser = argparse.ArgumentParser(prog="recommender bench epoch-job", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    per_item = read_seconds()
    print("simulated counters: 12 placements x 4 variants x 28 days")
    for name, epochs in (("daily", DAYS), ("hourly", 24 * DAYS)):
        for segments in (SEGMENTS[:1], SEGMENTS):
            cells, seconds = job_seconds(epochs, segments, np.random.default_rng(arguments.seed))
            print(
                f"{name:6} epochs, {len(segments)} segment(s): {cells:7,d} cells, job {seconds:5.2f} s CPU, "
                f"reading them from DynamoDB {cells * per_item:5.2f} s"
            )
    return 0


def job_seconds(epochs: int, segments: Sequence[str], rng: np.random.Generator) -> tuple[int, float]:
    """Cells, and CPU seconds of the job that ends the last of these epochs."""
    config = replace(default_config(START), variants=("cohorts", "hybrid", "hybrid_margin", "another"))
    store, step = MemoryExperimentStore(), timedelta(days=DAYS) / epochs
    snapshot = first_snapshot(config, START)
    for epoch in range(1, epochs + 1):
        moment = START + (epoch - 1) * step
        store.swap_snapshot(replace(snapshot, epoch=epoch, created_at=moment.isoformat()))
    cells = list(simulated_cells(config, epochs, segments, rng))
    trade = [
        ShopCount(f"2026-11-{day:02d}", group, bucket, 100, 10, 20, 50_000 + bucket)
        for day in range(2, 2 + DAYS)
        for group in ("holdout", "treated")
        for bucket in range(VISITOR_BUCKETS)
    ]
    upto = StreamPosition("1")
    store.add_counts([*cells, *trade], consumer="simulated", shard_id="1", after=StreamPosition(), upto=upto)
    before = time.process_time()
    reallocate_traffic(at=START + timedelta(days=DAYS), store=store)
    return len(cells), time.process_time() - before


def simulated_cells(
    config: ExperimentConfig, epochs: int, segments: Sequence[str], rng: np.random.Generator
) -> Iterator[CellCount]:
    """Every cell that has an exposure, all variants equal."""
    mean = DAILY_EXPOSURES * DAYS / (epochs * len(segments) * len(config.variants) * COUNTER_SHARDS)
    shape = (len(config.placements), epochs, len(segments), len(config.variants), COUNTER_SHARDS)
    exposures = rng.poisson(mean, shape)
    clicks = rng.binomial(exposures, CLICK_RATE)
    for at in zip(*np.nonzero(exposures), strict=True):
        p, t, g, k, shard = map(int, at)
        shown = int(exposures[at])
        where = (config.experiment_id, config.placements[p], t + 1, segments[g], config.variants[k])
        yield CellCount(*where, shown, int(clicks[at]), shard, 30 * shown)


def read_seconds() -> float:
    """CPU seconds from the bytes of a query's page to a count, for each item of it."""
    cell = CellCount("exp_default", "home_hero", 1, "user", "hybrid", 12, 1, 3, 360)
    values: dict[str, Any] = addition("experiments", cell)["Update"]
    sums = {name.lstrip(":"): value for name, value in values["ExpressionAttributeValues"].items()}
    page = {"Items": [{**values["Key"], **sums}] * PAGE_ITEMS, "Count": PAGE_ITEMS, "ScannedCount": PAGE_ITEMS}
    answer, read = {"headers": {}, "status_code": 200, "body": json.dumps(page).encode()}, dict[str, Any]()
    shape = botocore.session.get_session().get_service_model("dynamodb").operation_model("Query").output_shape
    parser = botocore.parsers.create_parser("json")
    before = time.process_time()
    read_items_plainly(answer, read)
    parser.parse(answer, shape)
    counts = [read_cell("exp_default", "home_hero", 3, item) for item in read["Items"]]
    return (time.process_time() - before) / len(counts)


if __name__ == "__main__":
    raise SystemExit(main())
