"""Renders docs/capacity.md: the cost of 4M shoppers on Snowflake, from the kept run of the warehouse benchmark.

Measured figures come from that run alone; everything else is assumed or a published price, and the page labels each.
The unit of work is a row: an event, or an item of a list in view (an impression), which is a row of its own.

Decisions: docs/decisions/benchmarks.md (191).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from warehouse.sources.synthetic_lists import SIZES
from warehouse.sources.synthetic_shop import CLICK_SHARE, EVENTS_PER_SESSION, UNKNOWN_SHARE

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parent / "docs/capacity.md"
TEMPLATE: Final = "capacity.md.j2"
DAYS: Final = 3 * 365


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The assumptions."""

    shoppers: int = 4_000_000
    visits_a_year: float = 24.0  # of a shopper who is known
    lists_a_visit: float = 5.0  # in view
    list_bytes: int = 1_400  # of a landed list or click with claims, as JSON
    event_bytes: int = 450  # of another event
    landed_days: int = 14  # kept on S3
    kept_twice: float = 1.3  # time travel and fail-safe
    threads: float = 16.0  # of a small warehouse; Snowflake publishes none
    caution: float = 4.0  # times the embedded engine's work
    statements: int = 120  # of a night, a second each
    export_minutes: float = 5.0
    reading_minutes: float = 30.0
    clustering_credits: float = 0.3  # a day


@dataclass(frozen=True, slots=True)
class Prices:
    """Published; compare them with the contract."""

    small_credits: float = 2.0  # an hour, generation 1; XS half of it, M twice
    snowpipe_credits: float = 0.0037  # a GB
    credit: float = 3.0  # dollars, Enterprise on demand in the US
    stored_tb: float = 40.0  # a month on demand; 23 with a contract
    airflow_hour: float = 0.49  # mw1.small
    s3_gb: float = 0.023  # a month


@dataclass(frozen=True, slots=True)
class Measured:
    """The cost of a row in the run."""

    rows: int
    events: int
    cpu_seconds: float
    bytes_a_row: float

    @property
    def rows_a_cpu_second(self) -> float:
        """Through load, staging and marts, in bulk."""
        return self.rows / self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Capacity:
    """The arithmetic. Quantities are of a day unless their name has another unit."""

    measured: Measured
    assumed: Assumptions = Assumptions()
    price: Prices = Prices()

    @property
    def visits(self) -> float:
        """Known and unknown."""
        return self.assumed.shoppers * self.assumed.visits_a_year / 365 / (1 - UNKNOWN_SHARE)

    @property
    def listed(self) -> float:
        """Lists in view and clicks on them."""
        return self.visits * self.assumed.lists_a_visit * (1 + CLICK_SHARE)

    @property
    def events(self) -> float:
        """Lists and clicks included."""
        return self.visits * EVENTS_PER_SESSION + self.listed

    @property
    def impressions(self) -> float:
        """Items of lists in view."""
        return self.visits * self.assumed.lists_a_visit * float(SIZES.mean())

    @property
    def rows(self) -> float:
        """Events and impressions."""
        return self.events + self.impressions

    @property
    def landed_gb(self) -> float:
        """As JSON, uncompressed."""
        others = self.events - self.listed
        return (self.listed * self.assumed.list_bytes + others * self.assumed.event_bytes) / 1e9

    @property
    def core_minutes(self) -> float:
        """Of the embedded engine: a run looks at the day before once more, so each row is worked on twice."""
        return 2 * self.rows / self.measured.rows_a_cpu_second / 60

    @property
    def run_minutes(self) -> float:
        """Of a small warehouse."""
        return self.core_minutes / self.assumed.threads * self.assumed.caution + self.assumed.statements / 60

    @property
    def credits(self) -> dict[str, float]:
        """A day, by work."""
        small = self.price.small_credits / 60
        return {
            "copy": small / 2,  # one minute of XS, the least that is billed
            "run": self.run_minutes * small,
            "exports": self.assumed.export_minutes * small,
            "clustering": self.assumed.clustering_credits,
            "reading": self.assumed.reading_minutes * small,
        }

    @property
    def bulk_hours(self) -> float:
        """Three years at once on a medium warehouse."""
        seconds = self.rows * DAYS / self.measured.rows_a_cpu_second
        return seconds / (2 * self.assumed.threads) * self.assumed.caution / 3600

    @property
    def stored_tb(self) -> float:
        """After three years."""
        return self.rows * DAYS * self.measured.bytes_a_row * self.assumed.kept_twice / 1e12

    @property
    def dollars(self) -> dict[str, float]:
        """A month, by item; storage as after three years."""
        return {
            "compute": 30 * sum(self.credits.values()) * self.price.credit,
            "storage": self.stored_tb * self.price.stored_tb,
            "airflow": 730 * self.price.airflow_hour,
            "s3": self.landed_gb * self.assumed.landed_days * self.price.s3_gb,
        }


def measured(result: Mapping[str, Any]) -> Measured:
    """The cost of a row in a kept result."""
    bulk, rows = result["bulk"], result["rows"]
    share = bulk["events"] / rows["raw.events"]  # the impressions of the bulk alone are not counted
    impressions = rows["marts.impressions"]
    return Measured(
        rows=round(bulk["events"] + share * impressions),
        events=bulk["events"],
        cpu_seconds=bulk["cpu_seconds"] + bulk["marts_cpu_seconds"],
        bytes_a_row=result["database_mb"] * 1e6 / (rows["raw.events"] + impressions),
    )


def render(result: Mapping[str, Any]) -> str:
    """The page."""
    environment = Environment(  # noqa: S701 - Markdown, not HTML
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template(TEMPLATE).render(c=Capacity(measured(result)), result=result, days=DAYS)
    return page.rstrip() + "\n"
