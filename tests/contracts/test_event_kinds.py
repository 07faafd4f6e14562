"""Whatever names an event agrees with the table of kinds; each message names the file to open next."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recommender.contracts.event_kinds import ADDED, BOUGHT, EVENT_KINDS, REMOVED, VIEWED
from recommender.contracts.placements import PAGE_TYPES

ROOT = Path(__file__).parents[2]
TABLE = "layers/recommender/python/recommender/contracts/event_kinds.py"
SQL = {
    path.relative_to(ROOT / "warehouse/sql").with_suffix("").as_posix(): path
    for path in ROOT.glob("warehouse/sql/*/*.sql")
}
SCRIPTS = {path.name: path for path in ROOT.glob("storefront/*.js")}
# The first ten have their numbers in stored masks (domain/serving/credit.py).
FIRST = (
    "view_item_list",
    "select_item",
    "view_item",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "view_cart",
    "begin_checkout",
    "purchase",
    "refund",
)


def named_in(path: Path) -> set[str]:
    """The events that a query compares with, or that a script reports."""
    text = path.read_text()
    quoted = (
        re.findall(r"'([a-z_]+)'", text) if path.suffix == ".sql" else re.findall(r"(?:track|report)\(\"(\w+)\"", text)
    )
    return set(quoted) & set(EVENT_KINDS)


@pytest.mark.parametrize("name", EVENT_KINDS)
def test_the_table_lists_who_reads_an_event(name: str) -> None:
    naming = {reader for reader, path in (SQL | SCRIPTS).items() if name in named_in(path)}

    assert set(EVENT_KINDS[name].readers) == naming, (
        f"{TABLE}: correct the readers of {name}, or the files that name it"
    )


@pytest.mark.parametrize("name", EVENT_KINDS)
def test_every_event_has_its_page_in_the_mart_of_sessions_or_is_left_out_of_visits(name: str) -> None:
    # `when 'x' then 'page'` gives an event its page; items and searches have one by what they are about.
    left_out = "staging/visit_events" in EVENT_KINDS[name].readers or "marts/impressions" in EVENT_KINDS[name].readers

    assert left_out or "marts/sessions" in EVENT_KINDS[name].readers, (
        f"no mart knows {name}: count it or give it a page in warehouse/sql/marts/sessions.sql, then list that reader "
        f"in {TABLE}; events that no visit consists of are left out in warehouse/sql/staging/visit_events.sql"
    )


def test_stored_numbers_of_kinds_stay() -> None:
    assert tuple(EVENT_KINDS)[: len(FIRST)] == FIRST, f"{TABLE}: a new kind belongs at the end"


def test_evidence_of_a_preference_is_kept_by_the_visit() -> None:
    for name, kind in EVENT_KINDS.items():
        assert bool(kind.weight) == bool(kind.observation), f"{TABLE}: {name} has a weight or an observation, not both"
        assert not kind.weight or kind.effects, f"{TABLE}: {name} has a weight, but no effect to be kept for"
        assert set(kind.effects) <= {VIEWED, ADDED, REMOVED, BOUGHT}, f"{TABLE}: {name} has unknown effects"
        assert kind.page is None or kind.page in PAGE_TYPES, f"{TABLE}: {name} is of an unknown page"


def test_no_foreign_name_means_two_events() -> None:
    foreign = [alias for kind in EVENT_KINDS.values() for alias in (*kind.ga4, *kind.aliases)]

    assert len(foreign) == len(set(foreign))
    assert not set(foreign) & set(EVENT_KINDS)
    assert all(re.fullmatch("[a-z_]+", alias) for alias in foreign)


@pytest.mark.parametrize("name", EVENT_KINDS)
def test_the_page_about_the_api_explains_every_event(name: str) -> None:
    page = (ROOT / "docs/api.md").read_text()

    assert re.search(rf"^\| `{name}` \|", page, re.MULTILINE), f"docs/api.md: add {name} to the table of events"
