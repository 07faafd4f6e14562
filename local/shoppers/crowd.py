"""Visitors: households of the running bundle with their real orders, and strangers, in a seeded order.

Calls of simulated browsers: connections that are kept alive and shared, and the same call again after a failure.

Decisions: docs/decisions/local.md (142).
"""

from __future__ import annotations

import http.client
import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from recommender.contracts.artifacts import CATALOGUE
from recommender.contracts.routes import KEY_HEADER
from recommender.domain.experiments.running.assignment import is_held_out
from recommender.domain.experiments.running.config import ExperimentConfig

from local.aws.streams import SIMULATED
from local.settings import LocalRunError
from local.shoppers.visit import Shelves, Shopper, Taste, draw_intent, draw_taste, shelves

STRANGERS: Final = 0.28  # share of the sessions of which nothing is known


@dataclass(frozen=True, slots=True)
class Household:
    """A known shopper and how many orders held each item."""

    user_id: str
    orders: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Makes the shopper of each session; the same seed gives the same shoppers in the same order."""

    shop: Shelves
    households: tuple[Household, ...]
    seed: int
    run: str  # makes the sessions of one run different from those of all others

    def shopper(self, number: int) -> tuple[Shopper, np.random.Generator]:
        """The shopper of session `number`, and the random numbers of that visit."""
        rng = np.random.default_rng((self.seed, 0, number))
        if rng.random() < STRANGERS:
            taste, visitor, user = draw_taste(self.shop, {}, rng), f"{self.seed}-s{number}", None
        else:
            chosen = int(rng.integers(len(self.households)))
            taste, visitor, user = self._taste(chosen), f"{self.seed}-h{chosen}", self.households[chosen].user_id
        session = f"{SIMULATED}{self.run}-{number}"
        return Shopper(f"{SIMULATED}{visitor}", session, user, taste, draw_intent(taste, rng)), rng

    def held_out(self, config: ExperimentConfig) -> Iterator[tuple[Shopper, np.random.Generator]]:
        """Shoppers under names that the hold-out holds: they see the control on every page."""
        for number in count():
            shopper, rng = self.shopper(-number % 2**32)
            names = (f"{shopper.visitor_id}-c{n}" for n in count())
            name = next(name for name in names if is_held_out(config, name))
            yield Shopper(name, f"{shopper.session_id}-c", shopper.user_id, shopper.taste, shopper.intent), rng

    def _taste(self, household: int) -> Taste:
        """A household wants the same in every session."""
        rng = np.random.default_rng((self.seed, 1, household))
        return draw_taste(self.shop, self.households[household].orders, rng)


def read_crowd(bundle: Path, shoppers: Path, *, seed: int, run: str) -> Crowd:
    """The crowd of a bundle's catalogue and the shoppers it was published with."""
    with (bundle / CATALOGUE).open() as lines:
        items = [json.loads(line) for line in lines]
    with shoppers.open() as lines:
        households = tuple(_household(json.loads(line)) for line in lines)
    orders: dict[str, float] = {}
    for household in households:
        for item_id, number in household.orders.items():
            orders[item_id] = orders.get(item_id, 0.0) + number
    return Crowd(shelves(items, orders), households, seed, run)


def _household(body: Mapping[str, Any]) -> Household:
    history = body["history"]
    return Household(body["shopper_id"], dict(zip(history["item_ids"], map(float, history["orders"]), strict=True)))


TIMEOUT_SECONDS: Final = 60.0
ATTEMPTS: Final = 3
NOTHING: Final[Mapping[str, str]] = {}


class Connection:
    """A client of the local run for any number of threads, open as long as the context."""

    def __init__(self, port: int, publishable_key: str = "") -> None:
        self._port, self._key = port, publishable_key
        self._idle: deque[http.client.HTTPConnection] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            self._idle.pop().close()

    @property
    def url(self) -> str:
        """The address of the local run."""
        return f"http://127.0.0.1:{self._port}"

    def get(self, path: str, headers: Mapping[str, str] = NOTHING) -> Any:
        """The JSON of a GET."""
        return self._send("GET", path, None, headers)

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] = NOTHING) -> Any:
        """The JSON of a POST; sending it twice must be safe, as it is for events (by id) and recommendations."""
        return self._send("POST", path, json.dumps(body).encode(), headers)

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        """Try again where the connection broke or a worker was lost; raises LocalRunError for any other answer."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                status, text = self._once(method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                status, text = 0, f"{type(error).__name__}: {error}"
            if status in (200, 201, 202):
                return json.loads(text)
            if 0 < status < 500 or attempt == ATTEMPTS:
                break
        raise LocalRunError(f"{method} {path} answers {status or 'nothing'}: {text[:300]}.")

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, str]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            usual = {KEY_HEADER: self._key, "content-type": "application/json"}
            connection.request(method, path, body, {**usual, **headers})
            response = connection.getresponse()
            answer = response.status, response.read().decode()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer
