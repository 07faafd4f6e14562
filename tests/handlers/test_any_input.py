"""No input makes an error of the server: any bytes, any JSON, any event give an answer or a problem document."""

from __future__ import annotations

import base64
import copy
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recommender.contracts.requests import MAX_BODY_BYTES
from recommender.contracts.routes import Route

from tests.handlers.edges import HTTP_ROUTES, Edges, edges, valid_body, valid_event

POSTS = tuple(route for route in HTTP_ROUTES if route.method == "POST")
EVENTS = next(route for route in POSTS if route.path == "/v1/events")
RECOMMEND = next(route for route in POSTS if route.path == "/v1/recommendations")
DEEP: Any = "x"
for _ in range(300):
    DEEP = [DEEP]
NASTY: list[Any] = [
    *(None, True, False, 0, -1, 0.0, -0.0, 1e308, 1e-320, 10**299, -(10**299), float("nan"), float("inf")),
    *("", " ", "\0", "a\0", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "𝟙", "é" * 128, "x" * 129, "x" * 20_000),
    *([], {}, [[]], [{}], {"": {}}, {"\ud800": "\ud800"}, DEEP, [1] * 500, "9" * 5_000),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-14:00", "0000-00-00T00:00:00Z"),
    *("2026-W48-1", "20261130T231700Z", "2026-11-30T23:17:00+00:00:30", "2026-11-23T02:50:00", "now", "1e400"),
]
EXAMPLES = int(os.environ.get("INPUT_EXAMPLES", "60"))  # of each kind; a night may try more
nasty = st.sampled_from(NASTY).map(copy.deepcopy) | st.text(max_size=20) | st.integers() | st.floats()
relaxed = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
routes = st.sampled_from(HTTP_ROUTES)
posts = st.sampled_from(POSTS)


@pytest.fixture(scope="module")
def edge(ministack_endpoint: str) -> Iterator[Edges]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", ministack_endpoint)
        yield edges(patch)


def checked(edge: Edges, route: Route, event: Any) -> tuple[int, Any]:
    """Status and body of an answer that is one for every client."""
    response = edge.answer(route, event)
    json.dumps(response).encode()
    status = response["statusCode"]
    body = json.loads(response["body"], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert 200 <= status < 500, (status, body)
    if status >= 400:
        assert {"type", "title", "status", "code", "detail"} <= body.keys()
        assert len(response["body"]) < 100_000
    elif route is RECOMMEND:
        assert not body["degraded"], body["degraded_reason"]
    return status, body


def paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, value in entries for found in paths(value, (*path, key)))]


def mutated(draw: st.DrawFn, node: Any) -> Any:
    """The value with one to three of its places changed, taken away or given a new neighbour."""
    node = copy.deepcopy(node)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(node)))
        if not path:
            node = draw(nasty)
            continue
        parent = node
        for key in path[:-1]:
            parent = parent[key]
        change = draw(st.sampled_from(("replace", "replace", "replace", "remove", "add")))
        if change == "remove":
            del parent[path[-1]]
        elif change == "add" and isinstance(parent, dict):
            parent[draw(st.sampled_from(("\ud800", "x" * 1_000, "", "event", "~/")) | st.text(max_size=5))] = draw(
                nasty
            )
        else:
            parent[path[-1]] = draw(nasty)
    return node


@st.composite
def requests(draw: st.DrawFn) -> tuple[Route, dict[str, Any]]:
    """A route and a valid request to it whose JSON was mutated."""
    route = draw(posts)
    body = json.dumps(mutated(draw, valid_body(route)), ensure_ascii=draw(st.booleans()))
    return route, valid_event(route, body=body)


@st.composite
def events(draw: st.DrawFn) -> tuple[Route, Any]:
    """A route and a payload of API Gateway that was mutated."""
    route = draw(routes)
    body = json.dumps(valid_body(route)) if route.method == "POST" else None
    event: Any = mutated(draw, valid_event(route, body=body))
    return route, event


@pytest.mark.parametrize("route", HTTP_ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_valid_request_that_is_mutated_below_is_answered(edge: Edges, route: Route) -> None:
    body = json.dumps(valid_body(route)) if route.method == "POST" else None
    status, answer = checked(edge, route, valid_event(route, body=body))

    assert status < 400 or answer["code"] in ("already_decided", "wrong_status", "invalid_argument", "unknown_field")


@relaxed
@given(requests())
def test_no_json_makes_an_error_of_the_server(edge: Edges, request_: tuple[Route, dict[str, Any]]) -> None:
    checked(edge, *request_)


@relaxed
@given(events())
def test_no_event_of_the_gateway_makes_an_error_of_the_server(edge: Edges, request_: tuple[Route, Any]) -> None:
    checked(edge, *request_)


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": None},
        {"headers": {"x-publishable-key": None, "dnt": None}},
        {"headers": {"x-publishable-key": "\ud800", "DNT": "1"}},
        {"headers": ["x-publishable-key"]},
        {"queryStringParameters": None},
        {"queryStringParameters": {"visitor_id": None, "limit": None}},
        {"queryStringParameters": {"visitor_id": "v1,v2", "visitor_id\ud800": "v"}},
        {"queryStringParameters": "visitor_id=v1"},
        {"rawPath": None},
        {"rawPath": "/\ud800"},
        {"rawPath": "/" + "x" * 10_000},
        {"requestContext": None},
        {"requestContext": {}},
        {"requestContext": {"http": None, "authorizer": None, "requestId": None, "stage": None}},
        {"requestContext": {"http": {"method": None, "path": None}, "authorizer": {"iam": None}}},
        {"body": None, "isBase64Encoded": True},
        {"body": {"visitor_id": "v1"}},
        {"isBase64Encoded": "yes"},
        {"pathParameters": None, "cookies": None, "version": None},
    ],
    ids=str,
)
def test_an_event_with_odd_or_missing_parts_is_answered(edge: Edges, changes: dict[str, Any]) -> None:
    for route in HTTP_ROUTES:
        body = json.dumps(valid_body(route)) if route.method == "POST" else None
        checked(edge, route, {**valid_event(route, body=body), **changes})
        for name in changes:
            checked(edge, route, {key: value for key, value in valid_event(route, body=body).items() if key != name})


@pytest.mark.parametrize("event", [None, [], {}, "event", 7], ids=str)
def test_what_is_no_event_is_no_route(edge: Edges, event: object) -> None:
    for route in HTTP_ROUTES:
        assert checked(edge, route, event)[0] == 404


@relaxed
@given(posts, st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-16")), st.booleans())
def test_no_bytes_make_an_error_of_the_server(edge: Edges, route: Route, content: bytes, flagged: bool) -> None:
    body = base64.b64encode(content).decode() if flagged else content.decode("latin-1")
    checked(edge, route, {**valid_event(route, body=body), "isBase64Encoded": flagged})
    checked(edge, route, {**valid_event(route, body=content.decode("latin-1")), "isBase64Encoded": True})


WHOLE_BODIES = {
    "not UTF-8": b"\xff\xfe{\x00}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "half a character": '{"visitor_id": "\ud800"}'.encode("utf-8", "surrogatepass"),
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "deep and closed": b'{"page":' + b"[" * 900 + b"]" * 900 + b"}",
    "endless digits": b'{"visitor_id": ' + b"9" * 5_000 + b"}",
    "many unknown fields": json.dumps({f"f{n}": n for n in range(30_000)}).encode(),
    "a long unknown field": json.dumps({"x" * 400_000: 1}).encode(),
    "the same key twice": b'{"visitor_id": "v", "visitor_id": 1}',
    "no JSON at all": b"NaN",
    "one byte too many": b" " * (MAX_BODY_BYTES + 1),
    "too large in UTF-8 only": json.dumps("é" * (MAX_BODY_BYTES // 2 + 1), ensure_ascii=False).encode(),
}


@pytest.mark.parametrize("route", POSTS[:4], ids=lambda route: route.path)
@pytest.mark.parametrize("name", WHOLE_BODIES)
def test_a_whole_body_that_nobody_expects_is_a_problem_of_the_caller(edge: Edges, route: Route, name: str) -> None:
    encoded = base64.b64encode(WHOLE_BODIES[name]).decode()

    status, answer = checked(edge, route, {**valid_event(route, body=encoded), "isBase64Encoded": True})

    assert status == (413 if answer["code"] == "body_too_large" else 400)


@pytest.mark.parametrize("limit", ["9" * 4_301, "٣" * 400, "-1", "1e3", "", "0", "49"])
def test_a_limit_that_is_no_small_number_is_refused(edge: Edges, limit: str) -> None:
    route = next(route for route in HTTP_ROUTES if "placement_id" in route.path)
    event = valid_event(route)

    status, answer = checked(edge, route, {**event, "queryStringParameters": {"visitor_id": "v1", "limit": limit}})

    assert (status, answer["errors"][0]["pointer"]) == (400, "/query/limit")


@pytest.mark.parametrize("length", [129, 1_100, 3_000])
def test_a_path_longer_than_any_key_is_not_found(edge: Edges, length: int) -> None:
    for route in HTTP_ROUTES:
        if "{" in route.path:
            path = route.path.replace("{", "x" * length).replace("}", "")
            event = valid_event(route, body="{}" if route.method == "POST" else None)
            assert checked(edge, route, {**event, "rawPath": path})[0] == 404


@pytest.mark.parametrize("broken", NASTY, ids=lambda value: f"{str(value)[:20]!a}")
def test_one_bad_event_never_takes_good_ones_with_it(edge: Edges, broken: Any) -> None:
    moment = datetime.now(UTC).isoformat()
    for field in ("event_time", "event_name", "items", "visible", "search_term"):
        good = [
            {"event_id": f"{field}-{n}-{NASTY.index(broken)}", "event_name": "view_cart", "event_time": moment}
            for n in range(3)
        ]
        batch = [good[0], {**good[1], field: broken}, good[2], broken]
        body = json.dumps({"visitor_id": "v1", "session_id": f"s-{field}", "events": batch})

        status, answer = checked(edge, EVENTS, valid_event(EVENTS, body=body))

        assert status == 202
        assert answer["accepted"] + answer["duplicates"] >= 2
        assert {wrong["index"] for wrong in answer["rejected"]} <= {1, 3}
        assert 3 in {wrong["index"] for wrong in answer["rejected"]}


@pytest.mark.parametrize("broken", NASTY, ids=lambda value: f"{str(value)[:20]!a}")
def test_a_bad_inline_event_is_told_and_the_page_is_answered(edge: Edges, broken: Any) -> None:
    body = valid_body(RECOMMEND)
    good = body["events"][0]

    page = {**body, "events": [{**good, "event_time": broken}, good, broken]}
    status, answer = checked(edge, RECOMMEND, valid_event(RECOMMEND, body=json.dumps(page)))

    assert (status, answer["personalization_level"]) == (200, "user")
    assert [wrong["index"] for wrong in answer["rejected_events"]] == [0, 2]
    assert all(placement["items"] for placement in answer["placements"])


def test_a_legal_body_over_the_size_of_an_item_is_taken(edge: Edges) -> None:
    moment = datetime.now(UTC).isoformat()
    items = [{"item_id": f"{n:0128}"} for n in range(200)]
    batch = [
        {"event_id": f"e{n}", "event_name": "view_item", "event_time": moment, "items": items, "search_term": f"{n}"}
        for n in range(17)
    ]
    body = json.dumps({"visitor_id": "v1", "session_id": "s-large", "events": batch})
    assert 400_000 < len(body) < MAX_BODY_BYTES

    assert checked(edge, EVENTS, valid_event(EVENTS, body=body)) == (
        202,
        {"accepted": 17, "duplicates": 0, "rejected": []},
    )
