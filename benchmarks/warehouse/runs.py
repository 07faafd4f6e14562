"""The measurements of the warehouse benchmark: a history loaded and run part by part, and single days on top of it.

Decisions: docs/decisions/benchmarks.md (177).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as clock
from statistics import median
from typing import Any, Final, TypeVar

from tqdm import tqdm

from warehouse.build import LAYERS
from warehouse.day.day import run_range
from warehouse.engine.statements import Connection, execute
from warehouse.raw.raw_append import append
from warehouse.sources.synthetic_history import Delivery, Part, deliveries, parts
from warehouse.sources.synthetic_shop import Shop

THIRDS: Final = 3
DAYS_MEASURED: Final = 3
SHARE_OF_DAY: Final = 300
EVENTS_PER_PART: Final = 500_000
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Cost:
    """Time and CPU of a piece of work."""

    wall: float
    cpu: float
    steps: dict[str, float] = field(default_factory=dict)  # wall seconds of each step

    def __add__(self, other: Cost) -> Cost:
        """Both, one after the other."""
        return Cost(self.wall + other.wall, self.cpu + other.cpu, {**self.steps, **other.steps})


@dataclass(slots=True)
class Ledger:
    """The measurements so far."""

    loads: list[Cost] = field(default_factory=list)
    builds: list[Cost] = field(default_factory=list)
    rows: int = 0  # in bulk
    events: int = 0  # in bulk
    days: list[tuple[int, float, list[Cost]]] = field(default_factory=list)  # events behind, marts anew, costs


def schedule(shop: Shop, repeats: int = DAYS_MEASURED) -> list[Part]:
    """Parts of at least a month, and at the end of each third single days, whose number of events is set."""
    planned: list[Part] = []
    third = shop.days // THIRDS
    for number in range(THIRDS):
        first = shop.first + timedelta(days=number * third)
        days = third - repeats
        own = Shop(shop.events, days, first=first)
        planned += parts(own, max(31, EVENTS_PER_PART * shop.days // shop.events))
        for day in range(days, third):
            start = first + timedelta(days=day)
            planned.append(Part(start, start + timedelta(days=1), max(1, shop.events // SHARE_OF_DAY)))
    return planned


def measure(connection: Connection, shop: Shop, repeats: int) -> dict[str, Any]:
    """Everything that is measured inside the warehouse."""
    ledger = Ledger()
    planned = schedule(shop, repeats)
    together = zip(planned, deliveries(shop, planned), strict=True)
    for part, delivery in tqdm(together, total=len(planned), desc="parts", file=sys.stderr):
        if part.events is None:
            _bulk(connection, delivery, ledger)
        else:
            _day(connection, delivery, ledger, repeats)
    years = [_year(behind, anew, costs) for behind, anew, costs in ledger.days]
    first, last = years[0], years[-1]
    return {
        "bulk": _bulk_figures(ledger),
        "increment": {
            "events": max(1, shop.events // SHARE_OF_DAY),
            "seconds": last["seconds"],
            "cpu_last_over_first": round(last["cpu_seconds"] / first["cpu_seconds"], 3),
            "wall_last_over_first": round(last["seconds"] / first["seconds"], 3),
        },
        "years": years,
        "rows": {
            f"{layer}.{table}": _count(connection, f"{layer}.{table}")
            for layer in ("raw", "marts")
            for table in LAYERS[layer]
        },
    }


def _bulk(connection: Connection, delivery: Delivery, ledger: Ledger) -> None:
    """Load a part on its last evening and run its days at once."""
    rows, load = _load(connection, delivery, datetime.combine(delivery.last, clock()) - timedelta(microseconds=1))
    ledger.rows += rows
    ledger.events += delivery.frames["events"].height
    ledger.loads.append(load)
    ledger.builds.append(_run(connection, delivery.first, delivery.last))


def _day(connection: Connection, delivery: Delivery, ledger: Ledger, repeats: int) -> None:
    """Load a day in the night after it and run it."""
    if not ledger.days or len(ledger.days[-1][2]) == repeats:
        behind = _count(connection, "staging.stg_events")
        ledger.days.append((behind, sum(cost.wall for cost in ledger.builds), []))
    _, load = _load(connection, delivery, datetime.combine(delivery.last, clock(2)))
    ledger.days[-1][2].append(load + _run(connection, delivery.last, delivery.last))


def _bulk_figures(ledger: Ledger) -> dict[str, Any]:
    seconds = sum(cost.wall for cost in ledger.loads)
    return {
        "rows": ledger.rows,
        "events": ledger.events,
        "rows_per_second": round(ledger.rows / seconds),
        "events_per_second": round(ledger.events / seconds),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(sum(cost.cpu for cost in ledger.loads), 2),
        "marts_seconds": round(sum(cost.wall for cost in ledger.builds), 2),
        "marts_cpu_seconds": round(sum(cost.cpu for cost in ledger.builds), 2),
    }


def _year(behind: int, anew: float, costs: Sequence[Cost]) -> dict[str, Any]:
    return {
        "events_behind": behind,
        "seconds": round(median(cost.wall for cost in costs), 3),
        "cpu_seconds": round(median(cost.cpu for cost in costs), 3),
        "days_seconds": [round(cost.wall, 3) for cost in costs],
        "rebuild_seconds": round(anew, 2),
        "steps": {name: round(median(cost.steps.get(name, 0.0) for cost in costs), 3) for name in costs[0].steps},
    }


def _load(connection: Connection, delivery: Delivery, loaded_at: datetime) -> tuple[int, Cost]:
    """Load all frames; returns the rows and the cost."""
    rows, cost = _timed(
        lambda: sum(
            append(connection, table, frame, load_id=f"synthetic/{delivery.last}/{table}", loaded_at=loaded_at)
            for table, frame in delivery.frames.items()
        )
    )
    return rows, Cost(cost.wall, cost.cpu, {"load": cost.wall})


def _run(connection: Connection, first: date, last: date) -> Cost:
    """The daily run over [first, last], with the wall seconds from the start of each step to that of the next."""
    begun: list[tuple[str, float]] = []
    _, cost = _timed(
        lambda: run_range(connection, first, last, on_step=lambda step: begun.append((step, time.perf_counter())))
    )
    ends = [*(moment for _, moment in begun[1:]), time.perf_counter()]
    return Cost(cost.wall, cost.cpu, {name: end - moment for (name, moment), end in zip(begun, ends, strict=True)})


def _timed(work: Callable[[], Answer]) -> tuple[Answer, Cost]:
    started, used = time.perf_counter(), time.process_time()
    answer = work()
    return answer, Cost(time.perf_counter() - started, time.process_time() - used)


def _count(connection: Connection, table: str) -> int:
    return int(execute(connection, f"select count(*) from {table}")[0][0])  # noqa: S608 - names are this package's own
