"""The experiment of simulated shoppers: a name of its own, and room made for it, in signed calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.aws.signing import KeyPair, verify
from local.shoppers.crowd import Connection
from local.shoppers.progress import Administrator, open_experiment
from local.web import Request, Response, WebServer, json_response, problem

KEYS = KeyPair("local", "secret", "eu-central-1")
DEFAULT = {"experiment_id": "exp_default", "status": "running"}


class Api:
    """Remembers the calls; knows two experiments."""

    def __init__(self, *known: dict[str, str]) -> None:
        self.known, self.calls = known, list[tuple[str, Any]]()

    def __call__(self, request: Request) -> Response:
        if verify(request, KEYS, now=datetime.now(UTC)) is None:
            return problem(403, "Forbidden", "not signed", "forbidden")
        if request.method == "GET":
            return json_response({"experiments": self.known})
        self.calls.append((request.path, json.loads(request.body)))
        return json_response({}, status=201)


@pytest.fixture
def server() -> Iterator[WebServer]:
    server = WebServer(0)
    yield server
    server.close()


def opened(server: WebServer, api: Api) -> str:
    server.site = api
    with Connection(server.port) as shop:
        return open_experiment(Administrator(shop, KEYS), rule="optimise", progress=lambda _: None)


def test_the_one_in_force_makes_room_once_the_new_one_is_drafted(server: WebServer) -> None:
    api = Api(DEFAULT, {"experiment_id": "old", "status": "killed"})

    name = opened(server, api)

    assert name == "exp_simulated"
    assert [path.removeprefix("/v1/experiments") for path, _ in api.calls] == [
        "",
        "/exp_default/kill",
        "/exp_simulated/start",
    ]
    assert api.calls[0][1]["design"] == {"rule": "optimise", "allocation": "thompson"}


def test_every_run_has_an_experiment_of_its_own(server: WebServer) -> None:
    earlier = {"experiment_id": "exp_simulated", "status": "running"}

    assert opened(server, Api(DEFAULT)) == "exp_simulated"
    assert opened(server, Api(DEFAULT, earlier)) == "exp_simulated_2"
    assert opened(server, Api(earlier, {**earlier, "experiment_id": "exp_simulated_2"})) == "exp_simulated_3"
