"""Renders docs/benchmarks.md from the results of the runs, so that the page holds no figure that no run printed.

    recommender bench document [--reports reports]

Results found under --reports (`<data>/<benchmark>.json`, as the benchmarks write them) replace those kept in
benchmarks/results; the page is rendered from the kept ones. Prose and published figures stand in benchmarks.md.j2 and
notes/. An uplift or a warehouse result also renders docs/projection.md or docs/capacity.md.

Decisions: docs/decisions/benchmarks.md (112).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from recommender.contracts.fields import problem
from recommender.contracts.folders import write_over
from recommender.errors import Conflict, RecommenderError

from benchmarks import capacity, projection
from benchmarks.report import BREADTH, with_intervals
from training_jobs.evaluate.plots import Number, number

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results"
PAGE: Final = HERE.parent / "docs/benchmarks.md"
BENCHMARKS: Final = (
    "next_item",
    "sequences",
    "purchases",
    "search",
    "experiments",
    "off_policy",
    "uplift",
    "warehouse",
)
NOT_KEPT: Final = ("curves", "fits", "days")  # in the report of the run; too long for the repository
PEERS: Final = ("implicit_", "rectools_")
Column = tuple[str, str, str]  # heading, stratum, metric
Published = tuple[str, Sequence[str]]  # source and its cells


@dataclass(frozen=True, slots=True)
class Result:
    """One run's JSON, read by name."""

    content: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """A key of the JSON; None where the run did not print it."""
        return self.content.get(name)

    def number(self, method: str, stratum: str, metric: str) -> Number | None:
        """One figure with its interval."""
        return number(with_intervals(self.content).get(method, {}).get(stratum, {}).get(metric))

    def value(self, method: str, stratum: str, metric: str, digits: int = 3) -> str:
        """One figure as text."""
        return _text(self.number(method, stratum, metric), digits)

    def ratio(self, stratum: str, other: str) -> str:
        """The hybrid over another method, `1.08 [1.07, 1.09]`."""
        return _text(number((self["ratios"] or {}).get(stratum, {}).get(other)), 2, with_interval=True)

    def difference(self, *path: str) -> str:
        """A difference somewhere in the JSON, `+0.073 [+0.028, +0.123]`."""
        figure = self._at(path)
        return f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]" if figure else "–"

    def figure(self, *path: str, digits: int = 3) -> str:
        """A figure somewhere in the JSON, with its interval where it has one: `0.0046 [0.0015, 0.0100]`."""
        return _text(self._at(path), digits, with_interval=True)

    def _at(self, path: Sequence[str]) -> Number | None:
        found: Any = self.content
        for name in path:
            found = found.get(name, {})
        return number(found)

    def best(self, stratum: str, metric: str, *, digits: int = 3, prefixes: Sequence[str] = PEERS) -> str:
        """`value (name)` of the best method whose name starts so; a dash without one."""
        found = {
            name: figure.value
            for name in self["methods"] or {}
            if name.startswith(tuple(prefixes)) and (figure := self.number(name, stratum, metric))
        }
        best = max(found, key=found.__getitem__, default="")
        return f"{found[best]:.{digits}f} ({best})" if best else "–"

    def table(
        self,
        columns: Sequence[Column],
        *,
        key: str = "methods",
        digits: int = 3,
        intervals: Sequence[int] = (),
        published: Sequence[Published] = (),
        first: str = "method",
        by: int = 0,
    ) -> str:
        """Methods, best of column `by` on top, and published rows below; `intervals` are places of columns."""
        marks = with_intervals(
            {"methods": self[key] or {}, "intervals": (self["intervals"] or {}) if key == "methods" else {}}
        )
        rows = {
            name: [number(strata.get(stratum, {}).get(metric)) for _, stratum, metric in columns]
            for name, strata in marks.items()
        }
        rows = {name: cells for name, cells in rows.items() if any(cells)}
        best = [
            max((cell.value for cell in column if cell), default=None) for column in zip(*rows.values(), strict=True)
        ]
        order = sorted(rows, key=lambda name: -(rows[name][by].value if rows[name][by] else -1.0))  # type: ignore[union-attr]
        # More coverage or popularity is not better, and variants of one method do not compete.
        marked_columns = [
            place for place, (_, _, metric) in enumerate(columns) if key == "methods" and metric not in BREADTH
        ]
        lines = [_line([first, *(heading for heading, _, _ in columns)]), _line(["---"] * (len(columns) + 1))]
        for name in order:
            cells = [_text(cell, digits, with_interval=place in intervals) for place, cell in enumerate(rows[name])]
            marked = [
                f"**{text}**" if place in marked_columns and cell and cell.value == best[place] else text
                for place, (cell, text) in enumerate(zip(rows[name], cells, strict=True))
            ]
            lines.append(_line([name, *marked]))
        lines += [
            _line([f"*{source}*", *(f"*{cell}*" if cell else "" for cell in cells)]) for source, cells in published
        ]
        return "\n".join(lines)


def collect(reports: Path, results: Path) -> list[str]:
    """Keep every result found under `reports` as `<data>.json`, and return the names."""
    results.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted(reports.glob("*/*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if (
            not isinstance(content, dict)
            or content.get("benchmark") not in BENCHMARKS
            or path.stem != content["benchmark"]
        ):
            continue
        kept = {name: value for name, value in content.items() if name not in NOT_KEPT}
        target = results / f"{path.parent.name}.json"
        if target.exists() and not _is_result(target):
            raise Conflict(f"{target} is no benchmark's result, and would be replaced by that of {path}")
        target.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        found.append(path.parent.name)
    return found


def _is_result(path: Path) -> bool:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(body, dict) and (not body or body.get("benchmark") in BENCHMARKS)


def render(results: Path, template: Path = HERE / "benchmarks.md.j2") -> str:
    """The page; a section whose result is not kept is left out."""
    kept = {path.stem: Result(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(results.glob("*.json"))}
    if not kept:
        raise problem(str(results), "no results", "at least one benchmark's JSON")
    environment = Environment(  # noqa: S701 - Markdown, not HTML
        loader=FileSystemLoader(template.parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template(template.name).render(results=kept)
    return re.sub(r"\n{3,}", "\n\n", page).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect, render, write."""
    parser = argparse.ArgumentParser(prog="recommender bench document", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--reports", type=Path, default=Path("reports"), help="where the benchmarks wrote their results"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="results that are kept")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page")
    options = parser.parse_args(arguments)
    try:
        found = collect(options.reports, options.results)
        for path, text in _pages(options.results, options.out).items():
            write_over(path, text)
    except RecommenderError as error:
        print(error.detail, file=sys.stderr)
        return 2
    print(f"{options.out}: {', '.join(found) or 'nothing'} new", file=sys.stderr)
    return 0


def _pages(results: Path, out: Path) -> dict[Path, str]:
    """The page `out`, and beside it those that one result alone makes."""
    pages = {out: render(results)}
    for name, page, rendered in (
        ("uplift", projection.PAGE, projection.render),
        ("warehouse", capacity.PAGE, capacity.render),
    ):
        if (results / f"{name}.json").is_file():
            pages[out.with_name(page.name)] = rendered(
                json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
            )
    return pages


def _text(figure: Number | None, digits: int, *, with_interval: bool = False) -> str:
    """`0.352`, or `0.352 [0.341, 0.362]`, or a dash."""
    if figure is None:
        return "–"
    text = f"{figure.value:.{digits}f}"
    return (
        f"{text} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]" if with_interval and figure.has_interval else text
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
