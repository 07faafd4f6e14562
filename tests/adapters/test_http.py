"""The HTTP edge: an endpoint for each route of the function, and problems that give nothing away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recommender.adapters.http import PROBLEM_TYPE, Answer, Request, http_handler, key_digest, problem_document
from recommender.contracts.routes import ROUTES
from recommender.errors import Conflict, FieldProblem, InvalidInput

from tests.handlers.deployed import KEY, http_event


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "1")


def test_a_function_must_answer_exactly_its_routes() -> None:
    with pytest.raises(ValueError, match="POST /v1/events"):
        http_handler("collect_events", {"POST /v1/event": lambda _: Answer(202, {})}, key_digests="")


@pytest.mark.parametrize("function", sorted({route.function for route in ROUTES}))
def test_every_declared_path_reaches_its_endpoint(function: str) -> None:
    seen: list[Request] = []

    def note(request: Request) -> Answer:
        seen.append(request)
        return Answer(200, {})

    routes = [route for route in ROUTES if route.function == function]
    endpoints = {f"{route.method} {route.path}": note for route in routes}
    handler = http_handler(function, endpoints, key_digests=key_digest(KEY))

    for route in routes:
        path = route.path.replace("{placement_id}", "a").replace("{experiment_id}", "a").replace("{probe}", "a")
        assert handler(http_event(route.method, path), None)["statusCode"] == 200
        assert set(seen[-1].path.values()) <= {"a"}
    assert len(seen) == len(routes)


def test_an_error_of_ours_gives_nothing_away() -> None:
    def fail(_: Request) -> Answer:
        raise KeyError("password of the database")

    handler = http_handler("collect_events", {"POST /v1/events": fail}, key_digests=key_digest(KEY))

    response = handler(http_event("POST", "/v1/events"), None)

    assert response["statusCode"] == 500
    assert "password" not in response["body"]
    assert json.loads(response["body"])["code"] == "internal_error"


def test_an_error_of_the_tree_is_a_problem_with_its_status_and_code() -> None:
    body = problem_document(Conflict("version 3 exists", code="stale"), instance="/v1/x", request_id="r")

    assert body == {
        "type": f"{PROBLEM_TYPE}stale",
        "title": "Conflict",
        "status": 409,
        "code": "stale",
        "detail": "version 3 exists",
        "instance": "/v1/x",
        "request_id": "r",
    }


def test_several_wrong_fields_are_all_listed() -> None:
    wrong = [FieldProblem("/a", "1", "a string"), FieldProblem("/b", "2", "a string")]

    body: dict[str, Any] = problem_document(InvalidInput(wrong), instance="/", request_id="r")

    assert [entry["pointer"] for entry in body["errors"]] == ["/a", "/b"]
    assert body["detail"] == "/a is 1, expected a string; /b is 2, expected a string"
