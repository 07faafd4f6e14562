"""The command line of a benchmark: refusals and progress on stderr, the report, one line of JSON, and the machine.

Versions and hardware are part of every result.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recommender.contracts.folders import REPORT, claim
from recommender.errors import RecommenderError

from benchmarks import report

Result = Mapping[str, Any]
PACKAGES = ("numpy", "torch", "onnxruntime", "polars")


def answer(
    run: Callable[[], Result],
    out: Path | None,
    *,
    sections: Callable[[Result], Sequence[report.Section]] = lambda result: (),
    unprinted: Sequence[str] = (),
) -> int:
    """Run, write the report into `out`, print the result without the `unprinted` parts, and return the exit code."""

    def command() -> None:
        if out:
            claim(out, REPORT)  # before the long run
        result = run()
        if out:
            report.write(result, out, sections(result))
        print(json.dumps({name: part for name, part in result.items() if name not in unprinted}), flush=True)

    return exit_code(command)


def exit_code(action: Callable[[], None]) -> int:
    """0 after success; 2, with the reason on stderr, where the input is refused."""
    try:
        action()
    except RecommenderError as error:
        print(error.detail, file=sys.stderr)
        return 2
    return 0


def progress(line: str) -> None:
    """Print a line of progress, with the CPU time so far."""
    print(f"[{time.process_time():7.1f} s CPU] {line}", file=sys.stderr, flush=True)


def describe_machine() -> dict[str, object]:
    """Python, packages, processor, cores."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
    }


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        named = [
            line.split(":", 1)[1].strip() for line in listed.read_text().splitlines() if line.startswith("model name")
        ]
        if named:
            return named[0]
    return platform.processor() or platform.machine()
