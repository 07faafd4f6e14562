"""The shop's own files, item facts and the signed console, over real HTTP."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recommender.contracts.artifacts import CATALOGUE, CATALOGUE_OFFSETS, CURRENT, FALLBACK, ITEM_IDS

from local.aws.gateway import Gateway
from local.aws.runtime_api import Outcome
from local.aws.signing import KeyPair
from local.settings import LocalRunError, load_or_make
from local.shop import KeptCatalogue, Shop
from local.web import WebServer
from tests.local.calls import call

KEYS = KeyPair("local", "secret", "eu-central-1")
ITEMS: list[dict[str, Any]] = [
    {
        "item_id": "101",
        "title": "Milk",
        "description": "",
        "category": "Dairy > Milk",
        "brand": "A",
        "price_cents": 129,
    },
    {"item_id": "99", "title": "Tea", "description": "", "category": "Drinks > Tea", "brand": "B", "price_cents": 250},
]


def answer(function: str, event: Mapping[str, Any]) -> Outcome:
    caller = event["requestContext"].get("authorizer", {}).get("iam", {}).get("accessKey")
    return Outcome(json.dumps({"function": function, "caller": caller, "path": event["rawPath"]}).encode())


def end_epoch(at: datetime) -> Mapping[str, Any]:
    """Opens an epoch in 2027, is busy in 2028."""
    if at.year == 2028:
        raise LocalRunError("The streams are not drained; try again.")
    return {"epoch": 2, "opened": at.year == 2027}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    files, artifacts = tmp_path / "storefront", tmp_path / "artifacts"
    files.mkdir()
    (files / "index.html").write_text("<h1>Shop</h1>")
    (tmp_path / "private.txt").write_text("private")
    keep_bundle(artifacts)
    shop = Shop(
        Gateway(answer, KEYS),
        files=files,
        report=tmp_path / "report",
        catalogue=KeptCatalogue(artifacts),
        households=["1", "2"],
        publishable_key="pk",
        keys=KEYS,
        simulate=end_epoch,
    )
    server = WebServer(0, site=shop)
    yield server
    server.close()


def keep_bundle(artifacts: Path) -> None:
    folder = artifacts / "bundles" / "b1"
    folder.mkdir(parents=True)
    lines = [json.dumps(item).encode() + b"\n" for item in ITEMS]  # "101" sorts before "99"
    (artifacts / CURRENT).write_text(json.dumps({"bundle_id": "b1"}))
    (folder / CATALOGUE).write_bytes(b"".join(lines))
    np.save(folder / ITEM_IDS, np.array([item["item_id"].encode() for item in ITEMS]))
    np.save(folder / CATALOGUE_OFFSETS, np.cumsum([0, *map(len, lines)]))
    (folder / FALLBACK).write_text(json.dumps({"home_hero": ["99"], "home_trending": ["101", "99"]}))


def test_the_page_and_its_settings(server: WebServer) -> None:
    page, settings = call(server, "GET", "/"), call(server, "GET", "/shop-config.json")
    body = json.loads(settings[2])

    assert page[0] == 200
    assert page[1]["content-type"] == "text/html; charset=utf-8"
    assert (body["publishable_key"], body["households"]) == ("pk", ["1", "2"])
    assert [item["item_id"] for item in body["items"]] == ["99", "101"]
    assert body["categories"] == ["Dairy > Milk", "Drinks > Tea"]


def test_item_facts_come_from_the_kept_bundle(server: WebServer) -> None:
    known, unknown = call(server, "GET", "/shop-items/101"), call(server, "GET", "/shop-items/999")

    assert json.loads(known[2])["price"] == 1.29
    assert (unknown[0], json.loads(unknown[2])["code"]) == (404, "unknown_item")


def test_no_file_outside_of_the_folder_is_served(server: WebServer) -> None:
    assert call(server, "GET", "/../private.txt")[0] == 404
    assert call(server, "GET", "/%2e%2e/private.txt")[0] == 404


def test_the_console_signs_for_pages_of_this_server_only(server: WebServer) -> None:
    path = "/console/v1/experiments/e1"

    assert json.loads(call(server, "GET", path)[2])["caller"] == "local"
    assert call(server, "GET", path, headers={"sec-fetch-site": "cross-site"})[0] == 403
    assert call(server, "GET", path, headers={"host": "evil.example"})[0] == 421
    assert call(server, "POST", path, b"{}")[0] == 405
    assert "access-control-allow-origin" not in call(server, "GET", path)[1]


def test_an_epoch_is_ended_at_a_simulated_moment(server: WebServer) -> None:
    status, _, body = end(server, {"time": "2027-01-01T00:00:00Z"})

    assert (status, json.loads(body)) == (200, {"epoch": 2, "opened": True})
    assert end(server, {"time": "2028-01-01T00:00:00Z"})[0] == 503
    assert (end(server, {"time": "soon"})[0], end(server, [])[0]) == (400, 400)


def test_no_page_of_another_site_ends_an_epoch(server: WebServer) -> None:
    wanted = {"time": "2027-01-01T00:00:00Z"}

    assert end(server, wanted, {"sec-fetch-site": "cross-site"})[0] == 403
    assert end(server, wanted, {"content-type": "text/plain"})[0] == 403  # what a form of another site could send
    assert end(server, wanted, {"host": "evil.example"})[0] == 421


def end(server: WebServer, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    sent = {"content-type": "application/json", **(headers or {})}
    return call(server, "POST", "/console/epochs", json.dumps(body).encode(), sent)


def test_keys_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    keys = load_or_make(path)

    assert load_or_make(path) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make(tmp_path / "others.json").signing_secret != keys.signing_secret


@pytest.mark.parametrize(
    "path", ["/%00", "/" + "x" * 5_000, "/items/%ff%00", "/%2e%2e/private.txt", "/items/" + "9" * 5_000]
)
def test_a_path_that_no_file_has_is_not_found(server: WebServer, path: str) -> None:
    status, _, body = call(server, "GET", path)

    assert (status, json.loads(body)["status"]) == (404, 404)


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"9" * 5_000, b'{"time": "0001-01-01T00:00:00+14:00"}', b""])
def test_an_epoch_that_cannot_be_read_is_a_problem_of_the_caller(server: WebServer, body: bytes) -> None:
    status, _, answered = call(server, "POST", "/console/epochs", body, {"content-type": "application/json"})

    assert (status, json.loads(answered)["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize("host", ["127.0.0.1:x[", "localhost:99999999"])
def test_a_host_that_is_none_does_not_close_the_connection(server: WebServer, host: str) -> None:
    assert call(server, "GET", "/console/v1/experiments", None, {"host": host})[0] in (200, 400, 403)
