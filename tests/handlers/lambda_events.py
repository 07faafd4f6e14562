"""Events as AWS delivers them, from tests/events, changed where a test needs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "events"


def lambda_event(name: str) -> dict[str, Any]:
    """The event of this name."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def with_body(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The HTTP event with fields of its JSON body replaced."""
    return {**event, "body": json.dumps({**json.loads(event["body"]), **changes})}


def with_headers(event: dict[str, Any], **headers: str | None) -> dict[str, Any]:
    """The HTTP event with headers set, or taken away; underscores in names stand for hyphens."""
    changed = {**event["headers"], **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {**event, "headers": {name: value for name, value in changed.items() if value is not None}}


def happening_now(event: dict[str, Any]) -> dict[str, Any]:
    """The HTTP event with the time of each event in its body set to this moment."""
    moment = datetime.now(UTC).isoformat()
    entries = [{**entry, "event_time": moment} for entry in json.loads(event["body"])["events"]]
    return with_body(event, events=entries)


def answer_of(response: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and body of a response."""
    return response["statusCode"], json.loads(response["body"])
