"""The gateway: payload v2.0 in and out, routes, authorisation and refusals, over real HTTP."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local.aws.gateway import Gateway, Router
from local.aws.runtime_api import Outcome, failure
from local.aws.signing import KeyPair, sign
from local.settings import LocalRunError
from local.web import MAX_BODY_BYTES, WebServer
from tests.local.calls import call

KEYS = KeyPair("local", "secret", "eu-central-1")


class Recorder:
    """Stands where the workers are: keeps the events and answers as told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.outcome = Outcome(b'{"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}')

    def __call__(self, function: str, event: Mapping[str, Any]) -> Outcome:
        self.calls.append((function, event))
        return self.outcome


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def server(recorder: Recorder) -> Iterator[WebServer]:
    server = WebServer(0, site=Gateway(recorder, KEYS))
    yield server
    server.close()


def test_a_request_becomes_a_payload_v2_event(server: WebServer, recorder: Recorder) -> None:
    status, _, body = call(
        server,
        "GET",
        "/v1/placements/home_hero/recommendations?visitor_id=v1&tag=a&tag=b",
        headers={"X-Publishable-Key": "pk", "Cookie": "a=1; b=2"},
    )

    function, event = recorder.calls[0]
    assert (status, body, function) == (200, b"{}", "recommend")
    assert event["version"] == "2.0"
    assert event["routeKey"] == "GET /v1/placements/{placement_id}/recommendations"
    assert event["pathParameters"] == {"placement_id": "home_hero"}
    assert event["rawQueryString"] == "visitor_id=v1&tag=a&tag=b"
    assert event["queryStringParameters"] == {"visitor_id": "v1", "tag": "a,b"}
    assert event["headers"]["x-publishable-key"] == "pk"
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["requestContext"]["http"]["method"] == "GET"
    assert "body" not in event


def test_text_bodies_travel_as_text_and_others_as_base64(server: WebServer, recorder: Recorder) -> None:
    call(server, "POST", "/v1/events", "{€}".encode())
    call(server, "POST", "/v1/events", b"\xff\x00")

    first, second = (event for _, event in recorder.calls)
    assert (first["body"], first["isBase64Encoded"]) == ("{€}", False)
    assert (base64.b64decode(second["body"]), second["isBase64Encoded"]) == (b"\xff\x00", True)


def test_a_function_that_fails_is_a_bare_500(server: WebServer, recorder: Recorder) -> None:
    recorder.outcome = failure("Unhandled", "secret detail")

    status, _, body = call(server, "POST", "/v1/events", b"{}")

    assert status == 500
    assert json.loads(body) == {"message": "Internal Server Error"}


def test_status_headers_cookies_and_binary_bodies_come_back(server: WebServer, recorder: Recorder) -> None:
    recorder.outcome = Outcome(
        json.dumps(
            {
                "statusCode": 201,
                "headers": {"X-Request-Id": "r1", "Access-Control-Allow-Origin": "https://elsewhere"},
                "cookies": ["a=1"],
                "isBase64Encoded": True,
                "body": base64.b64encode(b"\x01\x02").decode(),
            }
        ).encode()
    )

    status, headers, body = call(server, "POST", "/v1/events", b"{}")

    assert (status, body) == (201, b"\x01\x02")
    assert headers["x-request-id"] == "r1"
    assert headers["set-cookie"] == "a=1"
    assert headers["access-control-allow-origin"] == "*"


def test_unknown_routes_wrong_methods_and_large_bodies_are_problem_documents(server: WebServer) -> None:
    missing, wrong = call(server, "GET", "/v1/nothing"), call(server, "DELETE", "/v1/events")
    large = call(server, "POST", "/v1/events", None, {"content-length": str(MAX_BODY_BYTES + 1)})

    assert [answer[0] for answer in (missing, wrong, large)] == [404, 405, 413]
    assert wrong[1]["allow"] == "POST"
    for _, headers, body in (missing, wrong, large):
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["code"]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "get", "HEAD", "PATCH"])
def test_a_method_that_no_route_has_is_not_allowed(server: WebServer, method: str) -> None:
    status, headers, _ = call(server, method, "/v1/events")

    assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1/health/live HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        "POST /v1/events HTTP/1.1\r\ncontent-length: \u00b2\r\n\r\n".encode("latin-1"),
        b"\xff\xfe\x00\r\n\r\n",
    ],
)
def test_a_request_that_is_no_http_is_a_problem_of_the_client(server: WebServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 4"), answer[:200]
    assert json.loads(body)["code"]


def test_a_body_that_stays_away_is_a_timeout(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.web._Handler.timeout", 0.05)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/events HTTP/1.1\r\ncontent-length: 9\r\n\r\n{")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408")


def test_a_body_that_a_function_cannot_take_is_too_large(server: WebServer, recorder: Recorder) -> None:
    recorder.outcome = failure("RequestEntityTooLargeException", "9999999 bytes")

    assert call(server, "POST", "/v1/events", b"{}")[0] == 413


def test_a_browser_may_ask_first(server: WebServer, recorder: Recorder) -> None:
    status, headers, _ = call(server, "OPTIONS", "/v1/recommendations", headers={"origin": "https://shop"})

    assert status == 204
    assert "x-publishable-key" in headers["access-control-allow-headers"]
    assert not recorder.calls


def test_admin_routes_want_a_signature(server: WebServer, recorder: Recorder) -> None:
    path = "/v1/experiments/e1?at=2026-01-01&by=a%20b"
    signed = sign("GET", server.url + path, KEYS)
    forged = sign("GET", server.url + path, KeyPair("local", "guess", "eu-central-1"))

    assert call(server, "GET", path)[0] == 403
    assert call(server, "GET", path, headers=forged)[0] == 403
    assert call(server, "GET", path.replace("e1", "e2"), headers=signed)[0] == 403
    assert not recorder.calls
    assert call(server, "GET", path, headers=signed)[0] == 200
    assert recorder.calls[0][1]["requestContext"]["authorizer"]["iam"]["accessKey"] == "local"


def test_a_literal_route_wins_over_a_parameter() -> None:
    match = Router().find("GET", "/v1/openapi.json")

    assert match is not None
    assert match.route.path == "/v1/openapi.json"


def test_a_port_in_use_is_one_clear_sentence(server: WebServer) -> None:
    with pytest.raises(LocalRunError, match=f"Port {server.port} .* cannot be used"):
        WebServer(server.port)
