"""Checks of bad input: each is refused by a problem document that names the field, and the valid rest is kept."""

from __future__ import annotations

from datetime import timedelta

from local.check.shopping import HOME, event, expect, expect_kept_or_hidden, expect_problem, newcomer
from local.client import ApiClient

HOUR = timedelta(hours=1)


def unknown_placement(api: ApiClient) -> str:
    """Alone it is a problem; beside a known one it is that placement's error only."""
    visitor = newcomer(api)
    expect_problem(visitor.look("home_heroo"), status=404, code="unknown_placement", pointer="home_heroo")
    mixed = visitor.look("home_hero", "home_heroo")
    expect(mixed.status == 200, f"status {mixed.status} for one known and one unknown placement")
    entries = {entry["placement"]: entry for entry in mixed.body["placements"]}
    expect(bool(entries["home_hero"].get("items")), "the known placement got nothing")
    expect(entries["home_heroo"].get("error", {}).get("code") == "unknown_placement", "no error on the unknown one")
    return "404 alone, an entry's error beside others"


def malformed_json(api: ApiClient) -> str:
    """Half a document."""
    answer = api.send("POST", "/v1/recommendations", b'{"visitor_id": ')
    expect_problem(answer, status=400, code="invalid_json")
    return "400 invalid_json"


def unknown_field(api: ApiClient) -> str:
    """A typo is named, not ignored."""
    body = {"visitor_id": "v", "session_id": "s", "page": HOME, "placement": [{"placement": "home_hero"}]}
    expect_problem(api.post("/v1/recommendations", body), status=400, code="unknown_field", pointer="/placement")
    return "400 unknown_field"


def event_from_the_future(api: ApiClient) -> str:
    """More than a day ahead is refused by index; its valid neighbour counts."""
    answer = newcomer(api).tell(
        event("search", search_term="milk"), event("search", search_term="tea", ahead=25 * HOUR)
    )
    expect(answer.status in (200, 202), f"status {answer.status}: {answer.text[:300]}")
    expect(answer.body["accepted"] == 1, f"accepted {answer.body['accepted']}, expected 1")
    refused = answer.body["rejected"]
    expect([(entry["index"], entry["code"]) for entry in refused] == [(1, "event_from_future")], f"rejected {refused}")
    expect(refused[0]["pointer"] == "/events/1/event_time", f"pointer {refused[0]['pointer']}")
    return "one accepted, one rejected by its index"


def too_many_events(api: ApiClient) -> str:
    """101 events."""
    answer = newcomer(api).tell(*(event("search", search_term="milk") for _ in range(101)))
    expect_problem(answer, status=413, code="too_many_events", pointer="/events")
    return "413 too_many_events"


def unknown_item(api: ApiClient) -> str:
    """A page about an item newer than the bundle is answered without an anchor; in an event it does no harm."""
    visitor = newcomer(api)
    answer = visitor.look(page={"type": "product", "item_id": "no-such-item"})
    expect_kept_or_hidden(answer)
    expect(answer.body["degraded_reason"] == "unknown_anchor", f"degraded_reason {answer.body['degraded_reason']}")
    expect_kept_or_hidden(visitor.look(events=[event("view_item", "no-such-item")]))
    return "200 unknown_anchor on a page, harmless in an event"


def missing_key(api: ApiClient) -> str:
    """Without a publishable key of ours."""
    answer = newcomer(ApiClient(api.port, "pk_of_somebody_else")).look()
    expect_problem(answer, status=401, code="unauthorized")
    return "401 unauthorized"
