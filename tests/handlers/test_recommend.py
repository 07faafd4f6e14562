"""The serving function over its HTTP edge: routes, keys, problems, headers, and an answer whatever breaks."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from recommender.adapters.http import Handler, key_digest
from recommender.contracts.openapi import document
from recommender.contracts.placements import registry
from recommender.use_cases.recommend import recommend

from tests.handlers.deployed import KEY, deployed
from tests.handlers.lambda_events import answer_of, lambda_event, with_body, with_headers
from tests.use_cases.serving import Serving

Make = Callable[[Serving], Handler]
Printed = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def make(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Make:
    """The handler over a recommender in memory."""
    module = deployed("recommend", monkeypatch)

    def handler(serving: Serving) -> Handler:
        created: Handler = module.create_handler(
            partial(recommend, **serving.ports()),
            bundles=serving.bundles,
            snapshots=serving.snapshots,
            placements=registry("default"),
            key_digests=f"{key_digest('an older key')},{key_digest(KEY)}",
        )
        return created

    return handler


@pytest.fixture
def printed(make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Printed:
    """What the function has printed so far: log lines and metrics, as JSON."""
    lines = io.StringIO()  # the logger holds the standard output of the test that imported it first
    for writer in logging.getLogger("recommend").handlers:
        monkeypatch.setattr(writer, "stream", lines)
    return lambda: [json.loads(line) for line in (lines.getvalue() + capsys.readouterr().out).splitlines()]


def get(path: str) -> dict[str, Any]:
    event = lambda_event("get_placement")
    http = {**event["requestContext"]["http"], "path": path}
    context = {**event["requestContext"], "http": http}
    return {**event, "rawPath": path, "rawQueryString": "", "queryStringParameters": None, "requestContext": context}


def test_a_page_is_answered(make: Make) -> None:
    response = make(Serving())(lambda_event("post_recommendations"), None)
    status, body = answer_of(response)

    assert status == 200
    assert [(entry["placement"], len(entry["items"])) for entry in body["placements"]] == [
        ("pdp_similar", 6),
        ("pdp_bought_together", 4),
    ]
    assert (
        "item-05-01" not in json.dumps([entry["items"] for entry in body["placements"]], default=str).split('"')[3::4]
    )


def test_headers_say_how_long_it_took_and_that_nobody_may_cache(make: Make) -> None:
    headers = make(Serving())(lambda_event("post_recommendations"), None)["headers"]

    assert headers["cache-control"] == "private, no-store"
    assert headers["x-request-id"] == "JKJaXmPLvHcESHA="
    assert [part.split(";")[0] for part in headers["server-timing"].split(", ")] == [
        "state",
        "rank",
        "assemble",
        "total",
    ]


def test_one_placement_can_be_asked_for_by_its_address(make: Make) -> None:
    status, body = answer_of(make(Serving())(lambda_event("get_placement"), None))

    assert status == 200
    assert [len(entry["items"]) for entry in body["placements"]] == [3]


def test_a_base64_body_is_read(make: Make) -> None:
    event = lambda_event("post_recommendations")
    encoded = {**event, "body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}

    assert make(Serving())(encoded, None)["statusCode"] == 200


@pytest.mark.parametrize("key", [None, "", "pk_wrong"])
def test_without_a_known_key_nothing_is_answered(make: Make, key: str | None) -> None:
    event = with_headers(lambda_event("post_recommendations"), x_publishable_key=key)

    response = make(Serving())(event, None)
    status, body = answer_of(response)

    assert (status, body["code"], response["headers"]["www-authenticate"]) == (401, "unauthorized", "PublishableKey")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"page": {"type": "prodct"}}, 400, "invalid_argument"),
        ({"pgae": 1}, 400, "unknown_field"),
        ({"placements": [{"placement": "home_hero"}] * 13}, 400, "too_many"),
        ({"events": [{}] * 101}, 413, "too_many_events"),
    ],
)
def test_bad_input_is_a_problem_document(make: Make, changes: dict[str, Any], status: int, code: str) -> None:
    response = make(Serving())(with_body(lambda_event("post_recommendations"), **changes), None)
    found, body = answer_of(response)

    assert (found, body["code"], body["status"]) == (status, code, status)
    assert response["headers"]["Content-Type"] == "application/problem+json"
    assert body["type"] == f"urn:recommender:problem:{code}"
    assert (body["instance"], body["request_id"]) == ("/v1/recommendations", "JKJaXmPLvHcESHA=")


def test_each_wrong_field_is_listed_with_value_and_expectation(make: Make) -> None:
    event = with_body(lambda_event("post_recommendations"), page={"type": "prodct"})

    _, body = answer_of(make(Serving())(event, None))

    assert body["errors"] == [
        {
            "pointer": "/page/type",
            "code": "invalid_argument",
            "value": "'prodct'",
            "expected": "one of home, category, search, product, cart, order",
        }
    ]


def test_malformed_json_is_named_as_such(make: Make) -> None:
    status, body = answer_of(make(Serving())({**lambda_event("post_recommendations"), "body": '{"page":'}, None))

    assert (status, body["code"]) == (400, "invalid_json")


def test_an_unknown_placement_in_the_address_is_not_found_with_the_nearest_name(make: Make) -> None:
    status, body = answer_of(make(Serving())(get("/v1/placements/pdp_simlar/recommendations"), None))

    assert (status, body["code"]) == (404, "unknown_placement")
    assert "did you mean 'pdp_similar'?" in body["detail"]


def test_an_address_that_is_no_route_is_a_problem_too(make: Make) -> None:
    status, body = answer_of(make(Serving())(get("/v2/recommendations"), None))

    assert (status, body["code"]) == (404, "unknown_route")


def test_a_browser_that_asks_not_to_be_tracked_is_served_by_context_only(make: Make) -> None:
    serving, event = Serving(), with_body(lambda_event("post_recommendations"), user_id="h1", context={})

    _, tracked = answer_of(make(serving)(event, None))
    _, private = answer_of(make(serving)(with_headers(event, sec_gpc="1"), None))

    assert (tracked["personalization_level"], private["personalization_level"]) == ("user", "prior")


def test_what_nobody_foresaw_is_logged_and_answered_from_precomputed_lists(make: Make, printed: Printed) -> None:
    def explode(*_: object) -> Any:
        raise ZeroDivisionError("nobody thought of this")

    status, body = answer_of(make(Serving(ranking=explode))(lambda_event("post_recommendations"), None))

    assert (status, body["degraded"]) == (200, True)
    assert body["degraded_reason"] == ("state_unavailable,experiments_unavailable,stock_unavailable,models_unavailable")
    assert all(entry["items"] for entry in body["placements"])
    assert "nobody thought of this" in printed()[0]["exception"]


def test_the_log_and_the_metrics_name_no_person(make: Make, printed: Printed) -> None:
    serving = Serving()
    serving.state.is_down = True

    make(serving)(with_body(lambda_event("post_recommendations"), user_id="h1"), None)
    lines = printed()

    logged = next(line for line in lines if line.get("message") == "answered")
    assert (logged["route"], logged["correlation_id"]) == ("POST /v1/recommendations", "JKJaXmPLvHcESHA=")
    assert any(line.get("Degraded") == [1.0] for line in lines)
    assert not any(person in json.dumps(lines) for person in ("v_8f2", "s_31", "pv_9", '"h1"'))


def test_a_page_about_a_new_item_is_answered_and_counted_and_is_no_failure(make: Make, printed: Printed) -> None:
    event = with_body(lambda_event("post_recommendations"), page={"type": "product", "item_id": "new today"})

    status, body = answer_of(make(Serving())(event, None))

    counted = {name: line[name] for line in printed() for name in ("UnknownAnchors", "Degraded") if name in line}
    assert (status, body["degraded_reason"]) == (200, "unknown_anchor")
    assert counted == {"UnknownAnchors": [1.0], "Degraded": [0.0]}


def test_every_answer_says_whether_it_was_degraded_so_that_a_share_can_be_seen(make: Make, printed: Printed) -> None:
    serving = Serving()
    handler = make(serving)
    handler(lambda_event("post_recommendations"), None)
    serving.state.is_down = True
    handler(lambda_event("post_recommendations"), None)

    assert [line["Degraded"] for line in printed() if "Degraded" in line] == [[0.0], [1.0]]


def test_health_says_whether_the_process_answers_and_whether_it_answers_well(make: Make) -> None:
    serving = Serving()
    handler = make(serving)

    assert answer_of(handler(with_headers(get("/v1/health/live"), x_publishable_key=None), None)) == (
        200,
        {"status": "live"},
    )
    assert answer_of(handler(get("/v1/health/ready"), None)) == (
        200,
        {"status": "ready", "model_version": "tiny-1", "epoch": 0, "items": 240},
    )

    serving.bundles.bundle = None
    response = handler(get("/v1/health/ready"), None)
    assert (response["statusCode"], response["headers"]["retry-after"]) == (503, "5")
    assert answer_of(handler(get("/v1/health/well"), None))[0] == 404


def test_the_api_describes_itself(make: Make) -> None:
    status, body = answer_of(make(Serving())(get("/v1/openapi.json"), None))

    assert (status, body) == (200, json.loads(json.dumps(document())))


def test_the_composed_function_answers_while_there_is_no_bundle_and_no_table(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = deployed("recommend", monkeypatch)

    status, body = answer_of(module.handler(lambda_event("post_recommendations"), None))

    assert (status, body["degraded"]) == (200, True)
    assert "bundle_unavailable" in body["degraded_reason"]
