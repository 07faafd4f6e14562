"""Checks of the pages: nothing empty, nothing twice, and each kind of knowledge changes what is shown.

Checks of bad input: each is refused by a problem document that names the field, and the valid rest is kept.

Checks of the published files: what training measured of every ONNX file against its PyTorch source.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from recommender.contracts.artifacts import QUERY_ENCODER, REQUIRED_FILES, RETRIEVAL, SESSION_RETRIEVAL
from recommender.contracts.placements import INCUMBENT

from local.check.shopping import (
    HOME,
    CheckFailed,
    Visitor,
    event,
    expect,
    expect_kept_or_hidden,
    expect_problem,
    hidden,
    lists,
    newcomer,
)
from local.client import Answer, ApiClient
from local.settings import StateFolder
from training_jobs.environment import read_metrics
from training_jobs.graph import JOBS

OWN_LISTS: Final = ("home_continue", "pdp_recently_viewed")  # of what the visitor has looked at or bought
ABOUT_A_VISITOR: Final = frozenset({"segment", "matches_your_taste", "bought_before", "viewed_recently"})


def new_visitor_gets_every_placement(api: ApiClient) -> str:
    """A visitor nobody has seen gets 12 answers in one call, each kept or hidden with its reason, none untrue."""
    answer = newcomer(api).look()
    found = expect_kept_or_hidden(answer)
    untrue = [name for name in OWN_LISTS if found[name]]
    expect(not untrue, f"shown to somebody without history: {', '.join(untrue)}")
    names = {entry["item_list_name"] for entry in answer.body["placements"] if entry["items"]}
    expect("Recommended for you" not in names, "'Recommended for you' is shown to somebody nobody has seen")
    codes = {
        reason["code"] for entry in answer.body["placements"] for item in entry["items"] for reason in item["reasons"]
    }
    expect(not codes & ABOUT_A_VISITOR, f"reasons about a visitor nobody has seen: {sorted(codes & ABOUT_A_VISITOR)}")
    expect(answer.body["personalization_level"] == "prior", f"level {answer.body['personalization_level']}")
    expect(answer.body["degraded"] is False, f"degraded: {answer.body['degraded_reason']}")
    return f"{len(found)} placements, {len(hidden(answer))} hidden, {sum(map(len, found.values()))} items"


def looking_at_lists_forgets_nothing(api: ApiClient) -> str:
    """Views and the cart stay known after 500 impressions: level, evidence, and items left out."""
    visitor = newcomer(api)
    viewed, carted = lists(visitor.look("home_trending"))["home_trending"][:2]
    visitor.report(event("view_item", viewed), event("add_to_cart", carted))
    before = visitor.look("home_hero", "home_continue")
    for _ in range(5):
        visitor.report(*(event("view_item_list", viewed, item_list_id="home_hero", visible=True) for _ in range(100)))
    after = visitor.look("home_hero", "home_continue")
    for name in ("personalization_level", "evidence"):
        was, now = before.body[name], after.body[name]
        expect(was == now, f"{name} was {was}, is {now} after 500 impressions")
    found = lists(after)
    expect(viewed in found["home_continue"], "what was viewed is no longer known")
    expect(carted not in [item for items in found.values() for item in items], "what is in the cart is shown")
    return f"level {after.body['personalization_level']}, evidence {after.body['evidence']} before and after"


def no_item_twice_on_a_page(api: ApiClient) -> str:
    """Across all placements of an answer, every item stands once; for a newcomer and in the middle of a visit."""
    visitor = newcomer(api)
    first = lists(visitor.look())
    anchor = first["home_hero"][0]
    later = lists(visitor.look(page={"type": "product", "item_id": anchor}, events=[event("view_item", anchor)]))
    for found in (first, later):
        shown = [item for items in found.values() for item in items]
        expect(len(shown) == len(set(shown)), f"{len(shown) - len(set(shown))} items stand twice")
    return f"{sum(map(len, later.values()))} items, all different"


def one_view_changes_the_next_answer(api: ApiClient) -> str:
    """A `view_item` that travels with a request re-orders that very answer; the level goes prior → session.

    Asked as a visitor whose list is made by a session-aware variant: the incumbent is not one by design.
    """
    visitor, before = _session_aware(api)
    viewed = lists(before)["home_hero"][-1]
    after = visitor.look("home_hero", limit=12, events=[event("view_item", viewed)])
    levels = (before.body["personalization_level"], after.body["personalization_level"])
    expect(levels == ("prior", "session"), f"levels {levels}, expected prior then session")
    first, second = lists(before)["home_hero"], lists(after)["home_hero"]
    expect(first != second, "the order is the same before and after the view")
    return f"prior → session, {len(set(second) - set(first))} of {len(second)} items are new"


def known_household_gets_user(api: ApiClient, household: str) -> str:
    """A household with purchases is recognised by its user id."""
    answer = newcomer(api, user_id=household).look()
    lists(answer)
    level = answer.body["personalization_level"]
    expect(level == "user", f"level {level} for household {household}, expected user")
    return f"evidence {answer.body['evidence']}"


def one_placement_by_get(api: ApiClient) -> str:
    """The GET form answers one placement without a body."""
    visitor: Visitor = newcomer(api)
    answer = api.get(f"/v1/placements/home_trending/recommendations?visitor_id={visitor.visitor_id}")
    found = lists(answer)
    expect(bool(found.get("home_trending")), "home_trending is empty")
    return f"{len(found['home_trending'])} items"


def _session_aware(api: ApiClient) -> tuple[Visitor, Answer]:
    for _ in range(50):  # an incumbent's share of 1/3 makes 50 misses in a row impossible
        visitor = newcomer(api)
        answer = visitor.look("home_hero", limit=12)
        if lists(answer) and answer.body["placements"][0]["experiment"]["variant"] != INCUMBENT:
            return visitor, answer
    raise CheckFailed(f"50 newcomers in a row got {INCUMBENT}")


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
    answer = newcomer(api).report(
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
    answer = newcomer(api).report(*(event("search", search_term="milk") for _ in range(101)))
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


TOLERANCE: Final = 1e-4
QUANTISED: Final = (QUERY_ENCODER, RETRIEVAL, SESSION_RETRIEVAL)
ONNX_FILES: Final = tuple(name for name in REQUIRED_FILES if name.endswith(".onnx"))


def onnx_agrees_with_pytorch(state: StateFolder) -> dict[str, Any]:
    """Every ONNX file of the bundle is within 1e-4 of its source; quantised ones state their rank agreement."""
    parity = {name: measured for job in JOBS for name, measured in _parity(state, job.name).items()}
    missing = [name for name in ONNX_FILES if name not in parity]
    expect(not missing, f"no parity was measured for {', '.join(missing)}")
    for name in ONNX_FILES:
        difference = float(parity[name]["max_abs_difference"])
        expect(difference <= TOLERANCE, f"{name} differs by {difference:.2e}, at most {TOLERANCE:.0e}")
    unstated = [name for name in QUANTISED if "rank_agreement" not in parity[name]]
    expect(not unstated, f"no rank agreement is stated for {', '.join(unstated)}")
    return {name: parity[name] for name in ONNX_FILES}


def _parity(state: StateFolder, job: str) -> Mapping[str, Mapping[str, float]]:
    found: Mapping[str, Mapping[str, float]] = read_metrics(state.model(job)).get("onnx_parity", {})
    return found
