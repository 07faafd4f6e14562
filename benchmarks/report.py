"""Writes the report of a benchmark under --out: its JSON, one HTML page with everything inline, and the plots as PNG.

One writer serves every benchmark and shows the sections that the result has. A number is a float or {"value", "low",
"high"}; intervals may also stand apart in `intervals`, in the shape of `methods`. Tables, plots and layout are those of
the evaluation report. A benchmark that ranks nothing hands in sections of its own instead of `methods`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup
from matplotlib.figure import Figure

from training_jobs.evaluate import plots
from training_jobs.evaluate.plots import (
    METHODS,
    Methods,
    Number,
    metrics_of,
    number,
    numbers_of,
    series_of,
    strata_of,
    title,
)
from training_jobs.evaluate.report import Stratum, curve_plots, stratum_table, templates

HEADINGS: Final[Mapping[str, str]] = {
    "next_item": "What will the visitor look at next?",
    "sequences": "What comes next in a shopper's history?",
    "purchases": "What will each shopper buy in the coming weeks?",
    "search": "Which products answer the query?",
    "off_policy": "What would another policy have been worth on this log?",
    "experiments": "How soon and how surely does an experiment decide?",
    "serving": "What does a page of twelve placements cost?",
    "uplift": "What would each policy bring in a simulated shop?",
    "warehouse": "How fast is a history loaded, and what does a day cost on top of it?",
}
LABELS: Final[Mapping[str, str]] = {
    **METHODS,
    "hybrid": "Hybrid",
    "session_encoder": "Session encoder",
    "vstan": "Session-kNN (VSTAN)",
    "markov": "Markov chain",
    "bm25": "BM25",
    "bert_pretrained": "BERT, pretrained",
    "bert_tuned": "BERT, tuned",
    "implicit_ials": "iALS (implicit)",
    "implicit_item_knn": "ItemKNN (implicit)",
    "rectools_sasrec": "SASRec (RecTools)",
}
MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "all": ("All questions", "every question of the test"),
    "events_0": ("First pageview", "nothing of the visit has been seen"),
    "events_1": ("One event seen", "questions after one event of the visit"),
    "events_2": ("Two events seen", "questions after two events of the visit"),
    "events_3": ("Three events seen", "questions after three events of the visit"),
    "events_4plus": ("Four events or more", "questions after at least four events of the visit"),
    "no_repeats": ("Without repeats", "the target does not occur in the visit yet"),
    "without_repeats": ("Repeats hidden", "the same questions, from lists that leave out what the visit has seen"),
    "seen_listed": ("With the history listed", "lists may hold items of the history"),
    "judged_pool": ("Pool of judged items", "ranks everything that was judged for any query"),
    "full_catalogue": ("Full catalogue", "ranks every item; what nobody judged counts as irrelevant"),
    "events_0_category": ("First pageview of a category", "nothing has been seen but the category of the page"),
    "cold_items_full": ("Cold items, full catalogue", "items that training has never seen, among all items"),
    "new": ("New to the shopper", "only items the shopper had never bought before"),
    "in_basket": ("Rest of the basket", "three items of a basket are shown, the rest are targets"),
    "cold_items": ("Cold items", "items that training has never seen"),
    "cold_shoppers": ("Cold shoppers", "shoppers that training has never seen"),
}
MAIN: Final = ("hr@20", "mrr@20", "recall@20", "recall@10", "ndcg@20", "ndcg@10", "recall@50")
BREADTH: Final = ("coverage@20", "coverage", "popularity@20")
EVENTS: Final = ("events_0", "events_1", "events_2", "events_3", "events_4plus")
CURVED: Final = 6  # methods in one plot of lines
FACTS: Final = ("data", "cost", "seeds", "chosen_on_tail", "peers", "machine")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page that a benchmark lays out itself: meaning, table, and plots by file name."""

    title: str
    meaning: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    plots: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def drawn(self) -> list[Markup]:
        """The plots as the page holds them."""
        return [_inline(figure) for figure in self.plots.values()]


def write(result: Mapping[str, Any], out: Path, sections: Sequence[Section] = ()) -> None:
    """Write `<benchmark>.json`, `report.html` and the plots into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, default=str)
    (out / f"{result['benchmark']}.json").write_text(text + "\n", encoding="utf-8")
    (out / "report.html").write_text(render(result, sections), encoding="utf-8")
    own = [drawing for section in sections for drawing in section.plots.items()]
    for name, figure in [*pictures(result), *own]:
        plots.png(figure, out / f"{name}.png")


def render(result: Mapping[str, Any], sections: Sequence[Section] = ()) -> str:
    """The page as text."""
    methods, ablation = with_intervals(result), _ablation(result)
    environment = templates(Path(__file__).parent)
    return environment.get_template("benchmark.html.j2").render(
        heading=HEADINGS.get(result["benchmark"], title({}, result["benchmark"])),
        benchmark=result["benchmark"],
        data=result.get("data", {}).get("name") or result.get("data", {}).get("path", ""),
        label=result.get("label", ""),
        sections=sections,
        strata=[_section(methods, stratum) for stratum in strata_of(methods)],
        events=[_inline(figure) for _, figure in _by_events(methods)],
        ablation=[_section(ablation, stratum) for stratum in strata_of(ablation)],
        ratios=_ratios(result),
        curves=curve_plots(_curves(result)),
        facts={name: json.dumps(result[name], indent=1, default=str) for name in FACTS if result.get(name)},
    )


def pictures(result: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """(name, drawing) of every plot."""
    methods, ablation = with_intervals(result), _ablation(result)
    for stratum in strata_of(methods):
        yield from ((f"{stratum}_{_plain(metric)}", drawn) for metric, drawn in _bars(methods, stratum))
    yield from ((f"events_{_plain(metric)}", drawn) for metric, drawn in _by_events(methods))
    for stratum in strata_of(ablation):
        yield from ((f"ablation_{stratum}_{_plain(metric)}", drawn) for metric, drawn in _bars(ablation, stratum))
    for job, series in _curves(result).items():
        yield from ((f"curve_{job}_{name}", plots.curve(name, values)) for name, values in series.items())


def with_intervals(result: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """The methods with each figure as {"value", "low", "high"} where an interval is known, main metrics first."""
    return _joined(result.get("methods", {}), result.get("intervals", {}))


def _joined(methods: Methods, intervals: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    joined: dict[str, dict[str, dict[str, Any]]] = {}
    for method, strata in methods.items():
        for stratum, metrics in strata.items():
            ends = intervals.get(method, {}).get(stratum, {})
            order = sorted(metrics, key=lambda name: MAIN.index(name) if name in MAIN else len(MAIN))
            joined.setdefault(method, {})[stratum] = {name: _with_ends(metrics[name], ends.get(name)) for name in order}
    return joined


def _with_ends(figure: Any, ends: Sequence[float] | None) -> Any:
    """A figure with its interval; one that carries its own keeps it."""
    is_bare = ends is not None and not isinstance(figure, Mapping)
    return {"value": figure, "low": ends[0], "high": ends[1]} if is_bare and ends else figure


def _ablation(result: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """The ablation in the shape of `methods`; a variant without strata belongs to all questions."""
    given = result.get("ablation") or {}
    shaped = {
        variant: entry
        if all(isinstance(part, Mapping) and "value" not in part for part in entry.values())
        else {"all": entry}
        for variant, entry in given.items()
    }
    return _joined(shaped, {})


def _section(methods: Methods, stratum: str) -> Stratum:
    """The table of a stratum with the bars of its main metrics."""
    table = stratum_table(methods, stratum, labels=LABELS, meanings=MEANINGS)
    drawn = Markup("").join(_inline(figure) for _, figure in _bars(methods, stratum))
    return replace(table, plot=drawn or None)


def _bars(methods: Methods, stratum: str) -> Iterator[tuple[str, Figure]]:
    """(metric, drawing) of the first two main metrics, and of breadth over all questions."""
    present = metrics_of(methods, stratum)
    main = [name for name in present if name in MAIN][:2] or present[:1]
    for metric in [*main, *(name for name in BREADTH if name in present and stratum == "all")]:
        if known := numbers_of(methods, stratum, metric):
            yield metric, plots.bars(known, names=LABELS, heading=metric)


def _by_events(methods: Methods) -> Iterator[tuple[str, Figure]]:
    """(metric, drawing): quality as the visit grows, for the best methods; nothing without such strata."""
    steps = [step for step in EVENTS if any(step in strata for strata in methods.values())]
    metrics = [name for name in metrics_of(methods, steps[-1]) if name in MAIN][:2] if len(steps) > 1 else []
    for metric in metrics:
        series = series_of(methods, steps, metric)
        best = sorted(series, key=lambda name: -sum(entry.value for entry in series[name]))[:CURVED]
        labels = [step.removeprefix("events_").replace("plus", "+") for step in steps]
        if best:
            yield (
                metric,
                plots.lines(
                    {name: series[name] for name in best}, labels, xlabel=f"events seen so far ({metric})", names=LABELS
                ),
            )


def _curves(result: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Training curves; a point is a value or [step, value]."""
    return {
        job: {
            name: [float(point[-1] if isinstance(point, list | tuple) else point) for point in points]
            for name, points in series.items()
            if isinstance(points, list | tuple) and len(points) > 1
        }
        for job, series in (result.get("curves") or {}).items()
    }


def _ratios(result: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, Number]]]]:
    """(stratum, [(other method, ratio)]) where the result compares the hybrid with others."""
    found = []
    for stratum, others in (result.get("ratios") or {}).items():
        rows = [(title(LABELS, other), ratio) for other, entry in others.items() if (ratio := number(entry))]
        if rows:
            found.append((title({name: words[0] for name, words in MEANINGS.items()}, stratum), rows))
    return found


def _inline(figure: Figure) -> Markup:
    return Markup(plots.svg(figure))  # noqa: S704 - our own SVG


def _plain(metric: str) -> str:
    """A metric as part of a file name."""
    return metric.replace("@", "_")
