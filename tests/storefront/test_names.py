"""The browser side says what the contracts say: events, placements, reasons, header and request fields."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from recommender.contracts.event_kinds import EVENT_NAMES
from recommender.contracts.events import EVENT_COLUMNS, MAX_EVENTS_PER_CALL
from recommender.contracts.placements import PAGE_TYPES, registry
from recommender.contracts.requests import RecommendationRequest, RequestContext
from recommender.contracts.routes import KEY_HEADER, ROUTES
from recommender.domain.serving.reasons import ALL_CODES

STOREFRONT = Path(__file__).parents[2] / "storefront"
SNIPPET = (STOREFRONT / "recommender.js").read_text()
SHOP = (STOREFRONT / "shop.js").read_text()
BUDGET_BYTES = 5 * 1024


def test_the_snippet_stays_below_its_budget() -> None:
    assert len(SNIPPET.encode()) < BUDGET_BYTES


def test_nothing_is_fetched_from_elsewhere() -> None:
    for file in STOREFRONT.iterdir():
        if file.suffix in {".html", ".js", ".css"}:
            found = set(re.findall(r"https?://[\w./-]+", file.read_text()))
            assert found <= {"http://www.w3.org/2000/svg"}, file.name


def test_every_event_that_is_reported_has_a_name_of_the_contract() -> None:
    reported = set(re.findall(r"\b(?:track|report)\(\s*\"(\w+)\"", SNIPPET + SHOP))
    assert reported >= {"view_item", "select_item", "view_item_list", "search", "add_to_cart", "purchase"}
    assert reported <= set(EVENT_NAMES)


def test_the_fields_of_events_are_columns_of_the_contract() -> None:
    columns = {column.name for column in EVENT_COLUMNS}
    used = {"event_id", "event_name", "event_time", "session_id", "item_list_id", "attribution_token", "visible"}
    assert used | {"search_term", "transaction_id", "items"} <= columns
    assert all(re.search(rf"\b{name}\b", SNIPPET + SHOP) for name in used)


def test_the_request_has_the_fields_of_the_contract() -> None:
    body = re.search(r'post\("/v1/recommendations", \{(.*?)\n    \}\)', SNIPPET, re.DOTALL)
    assert body is not None
    sent = set(re.findall(r"^      (\w+)[:,]", body[1], re.MULTILINE)) | set(ids())
    assert sent <= {field.name for field in fields(RecommendationRequest)}
    context = set(re.findall(r"(\w+): \[\.\.\.cart", SHOP)) | {"consent"}
    assert context == {"cart_item_ids", "consent"} <= {field.name for field in fields(RequestContext)}


def test_no_request_has_more_events_than_the_contract_takes() -> None:
    limits = [int(number) for number in re.findall(r"(?:BATCH = |slice\(-)(\d+)", SNIPPET)]
    assert len(limits) == 2
    assert max(limits) <= MAX_EVENTS_PER_CALL


def test_the_paths_and_the_key_header_are_those_of_the_routes() -> None:
    assert f'"{KEY_HEADER}": key' in SNIPPET
    called = set(re.findall(r'post\("([\w/]+)"', SNIPPET))
    assert called == {"/v1/events", "/v1/recommendations"} <= {route.path for route in ROUTES}


def test_the_pages_of_the_shop_show_the_placements_of_the_registry() -> None:
    block = re.search(r"const PLACEMENTS = \{(.*?)\n\};", SHOP, re.DOTALL)
    assert block is not None
    shown = {page: re.findall(r'"(\w+)"', names) for page, names in re.findall(r"(\w+): \[(.*?)\]", block[1])}
    assert set(shown) == set(PAGE_TYPES)
    for page, names in shown.items():
        assert sorted(names) == sorted(p.placement_id for p in registry("default").values() if p.page == page)


def test_every_reason_has_words() -> None:
    block = re.search(r"const REASONS = \{(.*?)\n\};", (STOREFRONT / "view.js").read_text(), re.DOTALL)
    assert block is not None
    assert set(re.findall(r"^  (\w+):", block[1], re.MULTILINE)) == set(ALL_CODES)


def ids() -> list[str]:
    """What `ids()` of the snippet puts into every body."""
    found = re.search(r"return \{ (visitor_id.*?) \};", SNIPPET)
    assert found is not None
    return re.findall(r"(\w+): ", found[1])
