"""Tools of the checks: a fresh visitor, requests as a storefront sends them, and a failure with its reason."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from recommender.contracts.placements import DEFAULT

from local.client import Answer, ApiClient

ALL_PLACEMENTS: Final = tuple(placement.placement_id for placement in DEFAULT)
CATEGORY_PAGE: Final = {"type": "category"}
HOME: Final = {"type": "home"}


class CheckFailed(AssertionError):
    """A check found something else than what the system promises."""


def expect(holds: bool, otherwise: str) -> None:
    """Fail the check with `otherwise` unless `holds`."""
    if not holds:
        raise CheckFailed(otherwise)


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser in one visit."""

    api: ApiClient
    visitor_id: str
    session_id: str
    user_id: str | None = None

    def look(
        self,
        *placements: str,
        page: Mapping[str, Any] = HOME,
        events: Sequence[Mapping[str, Any]] = (),
        limit: int | None = None,
    ) -> Answer:
        """Ask for placements, with the newest events inline."""
        wanted = [{"placement": name, **({"limit": limit} if limit else {})} for name in placements or ALL_PLACEMENTS]
        body = {**self._ids(), "page": dict(page), "placements": wanted, "events": list(events)}
        return self.api.post("/v1/recommendations", body)

    def report(self, *events: Mapping[str, Any]) -> Answer:
        """Report events."""
        return self.api.post("/v1/events", {**self._ids(), "events": list(events)})

    def _ids(self) -> dict[str, str]:
        ids = {"visitor_id": self.visitor_id, "session_id": self.session_id}
        return {**ids, "user_id": self.user_id} if self.user_id else ids


def newcomer(api: ApiClient, *, user_id: str | None = None) -> Visitor:
    """A browser that nobody has seen."""
    return Visitor(api, f"check-{uuid.uuid4()}", f"visit-{uuid.uuid4()}", user_id)


def event(name: str, *item_ids: str, ahead: timedelta = timedelta(0), **more: Any) -> dict[str, Any]:
    """An event of this moment (or `ahead` of it)."""
    moment = (datetime.now(UTC) + ahead).isoformat()
    items = [{"item_id": item_id} for item_id in item_ids]
    return {"event_id": str(uuid.uuid4()), "event_name": name, "event_time": moment, "items": items, **more}


def lists(answer: Answer) -> dict[str, list[str]]:
    """The item ids of each placement; fails unless the answer is a full 200."""
    expect(answer.status == 200, f"status {answer.status}, expected 200: {answer.text[:300]}")
    broken = [entry for entry in answer.body["placements"] if "error" in entry]
    expect(not broken, f"placements with an error: {broken}")
    return {entry["placement"]: [item["item_id"] for item in entry["items"]] for entry in answer.body["placements"]}


def hidden(answer: Answer) -> dict[str, str]:
    """The reason of each placement that is hidden."""
    entries = answer.body["placements"]
    return {entry["placement"]: entry["hidden_reason"] for entry in entries if "hidden_reason" in entry}


def expect_kept_or_hidden(answer: Answer, *placements: str) -> dict[str, list[str]]:
    """Expect each placement, empty only with its reason; return the item ids of each."""
    found, why = lists(answer), hidden(answer)
    missing = [name for name in placements or ALL_PLACEMENTS if not found.get(name) and name not in why]
    expect(not missing, f"neither kept nor hidden with a reason: {', '.join(missing)}")
    expect(not [name for name in why if found[name]], f"hidden and yet filled: {why}")
    return found


def expect_problem(answer: Answer, *, status: int, code: str, pointer: str = "") -> None:
    """The answer is a problem document of this status and code, and names the field."""
    expect(answer.status == status and answer.is_problem, f"got {answer.status} {answer.text[:300]}, expected {status}")
    codes = {answer.body.get("code"), *(wrong.get("code") for wrong in answer.body.get("errors", ()))}
    expect(code in codes, f"codes {sorted(map(str, codes))}, expected {code}: {answer.text[:300]}")
    expect(pointer in answer.text, f"{pointer} is not named in {answer.text[:300]}")


def wait_until(holds: Callable[[], bool], *, seconds: float, otherwise: str, pause: float = 0.25) -> None:
    """Look again and again until `holds`, or fail."""
    deadline = time.monotonic() + seconds
    while not holds():
        expect(time.monotonic() < deadline, f"{otherwise} within {seconds:.0f} s")
        time.sleep(pause)
