"""The cost of assignment: reads are counted, time is that of the clock given."""

from __future__ import annotations

from itertools import count

from benchmarks.assignment.__main__ import measure


def test_a_warm_process_reads_nothing_however_many_pages_it_serves() -> None:
    ticks = count(step=300_000)  # each page view takes one step of 0.3 ms

    result = measure(50, clock_ns=lambda: next(ticks))

    assert result == {"pages": 50, "cpu_ms": {"p50": 0.3, "p99": 0.3}, "reads": 1}
