"""Simulated days over real HTTP against a shop that remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from recommender.domain.experiments.running.config import default_config

from local.settings import LocalRunError
from local.shoppers.clicks import Blind, ByTaste
from local.shoppers.crowd import Connection
from local.shoppers.days import Town
from local.web import Request, Response, WebServer, json_response, problem
from tests.local.shops import answer, crowd

BEGAN = "2026-11-23T09:30:00.250000+00:00"
REPORT: dict[str, Any] = {"epochs": [{"epoch": 4, "created_at": BEGAN}]}


class Shop:
    """Answers every page with two milks and takes every event, unless told to refuse."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.count_broken = 0
        self.refuses = False

    def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            return json_response(REPORT)
        body = json.loads(request.body)
        if request.path == "/console/epochs":
            self.ended.append(body["time"])
            return json_response({"epoch": 5, "opened": len(self.ended) == 1})
        if request.path == "/v1/recommendations":
            return json_response(answer(body))
        if self.count_broken:
            self.count_broken -= 1
            return problem(502, "Bad gateway", "a worker was lost", "lost")
        self.told.append(body)
        refused = len(body["events"]) if self.refuses else 0
        return json_response({"accepted": len(body["events"]) - refused, "duplicates": 0, "rejected": [{}] * refused})


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def town(shop: Shop) -> Iterator[Town]:
    server = WebServer(0, site=shop)
    with Connection(server.port) as connection:
        yield Town(crowd(), connection, "exp_simulated")
    server.close()


def test_a_day_adds_up_what_its_sessions_told(town: Town, shop: Shop) -> None:
    finished = []

    day = town.day(range(20), Blind(0.5), progress=lambda: finished.append(1))

    names = [event["event_name"] for body in shop.told for event in body["events"]]
    assert (len(shop.told), len(finished)) == (20, 20)
    assert day.exposures.total() == names.count("view_item_list")
    assert day.clicks.total() == names.count("select_item") > 0
    assert day.count_orders == names.count("purchase") > 0
    assert day.spent == pytest.approx(2.5 * sum(len(e["items"]) for b in shop.told for e in b["events"] if _bought(e)))


def test_the_same_events_are_sent_again_when_a_worker_was_lost(town: Town, shop: Shop) -> None:
    shop.count_broken = 2

    day = town.day(range(1), Blind(0.5), progress=lambda: None)

    assert day.exposures.total() == sum(event["event_name"] == "view_item_list" for event in shop.told[0]["events"])


def test_refused_events_end_the_run(town: Town, shop: Shop) -> None:
    shop.refuses = True

    with pytest.raises(LocalRunError, match="Events were refused"):
        town.day(range(1), Blind(0.5), progress=lambda: None)


def test_a_day_ends_24_hours_after_its_epoch_began_and_only_once(town: Town, shop: Shop) -> None:
    assert town.end_day(REPORT) == REPORT
    assert shop.ended == ["2026-11-24T09:30:00+00:00"]
    with pytest.raises(LocalRunError, match="did not end"):
        town.end_day(REPORT)


def test_shoppers_are_calibrated_on_pages_of_which_nothing_is_told(town: Town, shop: Shop) -> None:
    eagerness = town.eagerness(default_config(datetime(2026, 11, 23, tzinfo=UTC)), 0.018)

    clicks = [town.day(range(n, n + 40), ByTaste(eagerness), progress=lambda: None) for n in range(0, 400, 40)]
    share = sum(day.clicks.total() for day in clicks) / sum(day.exposures.total() for day in clicks)
    assert len(shop.told) == 400  # the visits of the calibration are not among them
    assert share == pytest.approx(0.018, abs=3 * np.sqrt(0.018 / 3000))


def _bought(event: dict[str, Any]) -> bool:
    return bool(event["event_name"] == "purchase")
