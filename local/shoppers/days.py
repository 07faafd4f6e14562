"""Simulated days against the running shop: sessions side by side, then the end of the epoch, then the report.

Sessions, tokens, counters, epoch job and report are the real ones; only the shoppers and the moment at which an
epoch ends are made up. The moment is the start of the epoch in force plus a day.

Decisions: docs/decisions/local.md (141).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import numpy as np
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.models.arrays import Doubles

from local.settings import LocalRunError
from local.shop import CONSOLE, EPOCHS
from local.shoppers.clicks import Blind, Clicking, eagerness_for
from local.shoppers.crowd import Connection, Crowd
from local.shoppers.visit import EVENTS, Cell, Shopper, Visited, visit

BROWSERS: Final = 4  # sessions at a time: more only wait for the functions of this machine
CALIBRATION_SESSIONS: Final = 100
INCUMBENT_SHARE: Final = 0.018  # of the incumbent's lists that are clicked

Visitor = tuple[Shopper, np.random.Generator]


@dataclass(slots=True)
class Day:
    """The shoppers' own record of a day."""

    exposures: Counter[Cell] = field(default_factory=Counter)
    clicks: Counter[Cell] = field(default_factory=Counter)
    count_orders: int = 0
    spent: float = 0.0

    def add(self, visited: Visited) -> None:
        """One more session."""
        self.exposures += visited.exposures
        self.clicks += visited.clicks
        self.count_orders += visited.count_orders
        self.spent += visited.spent


@dataclass(frozen=True, slots=True)
class Town:
    """The shoppers, and the shop they go to."""

    crowd: Crowd
    shop: Connection
    experiment_id: str

    def report(self) -> Mapping[str, Any]:
        """The report of the experiment, as the page's console shows it."""
        found: Mapping[str, Any] = self.shop.get(f"{CONSOLE}/v1/experiments/{self.experiment_id}")
        return found

    def eagerness(self, config: ExperimentConfig, share: float, *, sessions: int = CALIBRATION_SESSIONS) -> float:
        """Find the eagerness at which shoppers click this share of the incumbent's lists: measured, counted nowhere.

        The hold-out sees the incumbent on whole pages; what it looks at here is never reported.
        """
        visitors = islice(self.crowd.held_out(config), sessions)
        visits = _side_by_side(lambda visitor: self._walk(visitor, Blind(0.0), reports=False), visitors)
        lists: Sequence[Doubles] = [wanted for visited in visits for _, wanted in visited.attractions]
        try:
            return eagerness_for(share, lists)
        except ValueError as error:
            raise LocalRunError(f"Shoppers do not find enough to click: {error}.") from error

    def day(self, numbers: Iterable[int], clicking: Clicking, *, progress: Callable[[], object]) -> Day:
        """The sessions of these numbers."""
        day = Day()
        visitors = map(self.crowd.shopper, numbers)
        for visited in _side_by_side(lambda visitor: self._walk(visitor, clicking, reports=True), visitors):
            day.add(visited)
            progress()
        return day

    def end_day(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        """End the epoch a day after it began, as the report `before` has it; the report then."""
        began = datetime.fromisoformat(before["epochs"][-1]["created_at"])
        at = (began + timedelta(days=1)).astimezone(UTC).replace(microsecond=0)
        answer = self.shop.post(EPOCHS, {"time": at.isoformat()})
        if not answer["opened"]:
            raise LocalRunError(f"The epoch that began at {began.isoformat()} did not end: {answer}.")
        return self.report()

    def _walk(self, visitor: Visitor, clicking: Clicking, *, reports: bool) -> Visited:
        """Make the calls of one visit."""
        shopper, rng = visitor
        calls = visit(shopper, self.crowd.shop, clicking, rng=rng, clock=lambda: datetime.now(UTC))
        answer: Any = None
        try:
            while True:
                path, body = calls.send(answer)
                answer = self._call(path, body) if reports or path != EVENTS else {}
        except StopIteration as end:
            visited: Visited = end.value
            return visited

    def _call(self, path: str, body: Mapping[str, Any]) -> Any:
        answer = self.shop.post(path, body)
        if path == EVENTS and answer["accepted"] + answer["duplicates"] != len(body["events"]):
            raise LocalRunError(f"Events were refused: {answer['rejected'][:3]}.")
        return answer


def _side_by_side(walk: Callable[[Visitor], Visited], visitors: Iterable[Visitor]) -> Iterator[Visited]:
    """The visits, BROWSERS at a time, in order; whoever stops listening stops those that have not begun."""
    browsers = ThreadPoolExecutor(BROWSERS)
    try:
        yield from browsers.map(walk, visitors)
    finally:
        browsers.shutdown(cancel_futures=True)
