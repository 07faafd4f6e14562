"""Renders docs/projection.md: the simulated ratios in a year of a 4M-shopper retailer, on stated assumptions.

Numbers are labelled: *simulated* ones come from the kept run of the uplift benchmark, *assumed* ones from the table
below, and a product of both is *simulated x assumed*. Nothing was measured on live shoppers; the targets are targets.

Decisions: docs/decisions/benchmarks.md (124).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from recommender.contracts.fields import problem

from training_jobs.evaluate.plots import Number, number

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parent / "docs/projection.md"
TEMPLATE: Final = "projection.md.j2"
LABEL: Final = "simulated"
TARGET_RATES: Final = (0.04, 0.06)
TARGET_ORDER_VALUE: Final = 0.35
TARGET_DOLLARS: Final = 4.2e6
NOWHERE_NEAR: Final = "does not reach it, nor does its interval"
POLICIES: Final = {"hybrid": "hybrid", "hybrid_margin": "hybrid, for margin"}


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The retailer, all assumed; `transfer` is the share of a simulated lift that real shoppers keep."""

    shoppers: int = 4_000_000
    visits_a_year: float = 6.0
    orders_a_visit: float = 0.03
    order_value_dollars: float = 60.0
    margin_share: float = 0.30
    share_seen: float = 0.7  # of visits in which the placements come into view
    transfer: float = 0.5
    incumbent_rate: float = 0.018  # clicks a module seen: given, and what the simulation was fitted to

    @property
    def visits(self) -> float:
        """A year."""
        return self.shoppers * self.visits_a_year

    @property
    def sales(self) -> float:
        """Dollars a year under the incumbent."""
        return self.visits * self.orders_a_visit * self.order_value_dollars

    @property
    def margin(self) -> float:
        """Dollars a year under the incumbent."""
        return self.sales * self.margin_share

    def kept(self, ratio: float) -> float:
        """The lift that is left of a simulated ratio: only where placements are seen, and only in part."""
        return (ratio - 1.0) * self.share_seen * self.transfer


@dataclass(frozen=True, slots=True)
class Projection:
    """One policy over the incumbent, ratios simulated, dollars a year."""

    name: str
    rate: Number  # click-through after transfer
    rate_simulated: Number
    order_value: Number  # ratio
    sales_ratio: Number  # a session
    margin_ratio: Number  # a session
    sales: Number  # dollars more a year
    margin: Number

    def dollars_verdict(self, gain: Number) -> str:
        """Of a yearly gain."""
        return _verdict(gain, TARGET_DOLLARS)

    def order_value_verdict(self) -> str:
        """Of the simulated order value, before any discount."""
        return _verdict(self.order_value, 1.0 + TARGET_ORDER_VALUE)

    def rate_verdict(self, rate: Number) -> str:
        """Of a click-through against the lower end of its target."""
        return _verdict(rate, TARGET_RATES[0])


def project(result: Mapping[str, Any], assumed: Assumptions) -> list[Projection]:
    """The policies of a kept uplift result. Raises InvalidInput where it is not labelled simulated."""
    if result.get("label") != LABEL:
        raise problem("uplift/label", result.get("label"), LABEL)
    found = []
    for policy, name in POLICIES.items():
        ratios = {key: number(entry) for key, entry in result["against_cohorts"][policy].items()}
        click, value = _needed(ratios, "click_through"), _needed(ratios, "order_value_cents")
        sales, margin = _needed(ratios, "value_per_session_cents"), _needed(ratios, "margin_per_session_cents")
        found.append(
            Projection(
                name,
                rate=_mapped(click, lambda ratio: assumed.incumbent_rate * (1.0 + (ratio - 1.0) * assumed.transfer)),
                rate_simulated=_mapped(click, lambda ratio: assumed.incumbent_rate * ratio),
                order_value=value,
                sales_ratio=sales,
                margin_ratio=margin,
                sales=_mapped(sales, lambda ratio: assumed.sales * assumed.kept(ratio)),
                margin=_mapped(margin, lambda ratio: assumed.margin * assumed.kept(ratio)),
            )
        )
    return found


def render(result: Mapping[str, Any], assumed: Assumptions | None = None) -> str:
    """The page."""
    assumed = assumed or Assumptions()
    environment = Environment(  # noqa: S701 - Markdown, not HTML
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"money": _money, "ratio": _ratio, "percent": _percent}
    page = environment.get_template(TEMPLATE).render(
        result=result,
        assumed=assumed,
        projections=project(result, assumed),
        target=TARGET_DOLLARS,
        needed_for_sales=TARGET_DOLLARS / assumed.sales,
        needed_for_margin=TARGET_DOLLARS / assumed.margin,
    )
    return page.rstrip() + "\n"


def _verdict(found: Number, target: float) -> str:
    """Whether a figure reaches its target, and whether its interval does."""
    if found.low >= target:
        return "reaches it, and so does its whole interval"
    if found.value >= target:
        return "reaches it, but the low end of its interval does not"
    return "does not reach it; the high end of its interval would" if found.high >= target else NOWHERE_NEAR


def _needed(ratios: Mapping[str, Number | None], name: str) -> Number:
    found = ratios.get(name)
    if found is None:
        raise problem(f"uplift/against_cohorts/{name}", None, "a ratio with its interval")
    return found


def _mapped(found: Number, change: Any) -> Number:
    return Number(change(found.value), change(found.low), change(found.high))


def _money(gain: Number | float) -> str:
    """`$0.42M [0.10, 0.80]`."""
    if isinstance(gain, Number):
        return f"${gain.value / 1e6:.2f}M [{gain.low / 1e6:.2f}, {gain.high / 1e6:.2f}]"
    return f"${gain / 1e6:.1f}M"


def _ratio(found: Number) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _percent(found: Number) -> str:
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"
