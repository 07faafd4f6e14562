"""Checks of the counters: once is once, forged and replayed tokens are refused, a click moves its own cell only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from local.check.shopping import Visitor, event, expect, lists, newcomer, wait_until
from local.client import Answer, ApiClient

PLACEMENT: Final = "home_hero"
EXPOSED: Final = 40  # visitors: enough that every variant is exposed
SETTLE_SECONDS: Final = 30.0

Report = Callable[[], Mapping[str, Any]]
Cell = tuple[str, int, str]  # placement, epoch, variant


def same_event_three_times_counts_once(api: ApiClient, report: Report) -> str:
    """An impression that is posted three times is accepted once and counted once."""
    visitor, list_shown = _shown(api)
    impression = _impression(list_shown)
    before = _exposures(report())
    answers = [visitor.report(impression) for _ in range(3)]
    results = [(answer.body["accepted"], answer.body["duplicates"]) for answer in answers]
    expect(results == [(1, 0), (0, 1), (0, 1)], f"(accepted, duplicates) were {results}")
    _pass_marker(api, report, exposures=before + 1)
    return "accepted 1, duplicates 2, one exposure"


def forged_token_is_refused(api: ApiClient) -> str:
    """A token with another content under the old signature."""
    visitor, list_shown = _shown(api)
    head, body, signature = list_shown["attribution_token"].split(".")
    forged = ".".join((head, body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB"), signature))
    _expect_refused(visitor.report(_click(list_shown, token=forged)))
    return "invalid_token at /events/0/attribution_token"


def replayed_token_is_refused(api: ApiClient) -> str:
    """A genuine token that comes from another session."""
    _, list_shown = _shown(api)
    _expect_refused(newcomer(api).report(_click(list_shown)))
    return "invalid_token at /events/0/attribution_token"


def click_moves_its_own_cell(api: ApiClient, report: Report, reallocate: Callable[[], None]) -> str:
    """A click counts, once, for the variant and the epoch it was shown in, though a newer epoch is in force."""
    shown = [_shown(api) for _ in range(EXPOSED)]
    start = _exposures(report())
    for visitor, list_shown in shown:
        visitor.report(_impression(list_shown))
    wait_until(lambda: _exposures(report()) == start + EXPOSED, seconds=SETTLE_SECONDS, otherwise="exposures missing")
    shown_in = report()["epoch"]
    reallocate()
    before = report()
    expect(before["epoch"] > shown_in, f"epoch {before['epoch']} after the reallocation of epoch {shown_in}")
    visitor, list_shown = next(entry for entry in shown if entry[1]["experiment"]["variant"] != before["control"])
    variant = list_shown["experiment"]["variant"]

    visitor.report(_click(list_shown))
    wait_until(
        lambda: _clicks(report()) > _clicks(before), seconds=SETTLE_SECONDS, otherwise="the click was not counted"
    )
    after = report()
    moved = {cell: count - _cells(before, "clicks").get(cell, 0) for cell, count in _cells(after, "clicks").items()}
    moved = {cell: change for cell, change in moved.items() if change}
    expect(moved == {(PLACEMENT, shown_in, variant): 1}, f"clicks moved by {moved}, expected {variant} in {shown_in}")
    losses = [_expected_loss(body, variant) for body in (before, after)]
    expect(losses[1] < losses[0], f"the expected loss of {variant} went from {losses[0]} to {losses[1]}")

    visitor.report(_click(list_shown))  # a new event with the token that was rewarded already
    _pass_marker(api, report, exposures=start + EXPOSED)
    expect(_clicks(report()) == _clicks(after), "the same token was rewarded twice")
    return f"{variant}, epoch {shown_in}: +1 click, expected loss {losses[0]:.4f} → {losses[1]:.4f}; nothing else moved"


def _pass_marker(api: ApiClient, report: Report, *, exposures: int) -> None:
    """Count one more impression, which shows that the stream has passed all before it; no more than that may count."""
    visitor, list_shown = _shown(api)
    visitor.report(_impression(list_shown))
    wait_until(lambda: _exposures(report()) > exposures, seconds=SETTLE_SECONDS, otherwise="the marker is not counted")
    expect(
        _exposures(report()) == exposures + 1, f"{_exposures(report())} exposures, expected {exposures} and a marker"
    )


def _shown(api: ApiClient) -> tuple[Visitor, Mapping[str, Any]]:
    """A newcomer and the list that was made for one."""
    visitor = newcomer(api)
    answer = visitor.look(PLACEMENT)
    lists(answer)
    list_shown: Mapping[str, Any] = answer.body["placements"][0]
    expect(bool(list_shown["attribution_token"]), "the list has no attribution token")
    return visitor, list_shown


def _impression(list_shown: Mapping[str, Any]) -> dict[str, Any]:
    ids = [item["item_id"] for item in list_shown["items"]]
    token = list_shown["attribution_token"]
    return event("view_item_list", *ids, item_list_id=PLACEMENT, attribution_token=token, visible=True)


def _click(list_shown: Mapping[str, Any], *, token: str | None = None) -> dict[str, Any]:
    return event(
        "select_item",
        list_shown["items"][0]["item_id"],
        item_list_id=PLACEMENT,
        attribution_token=token or list_shown["attribution_token"],
    )


def _expect_refused(answer: Answer) -> None:
    expect("invalid_token" in answer.text, f"status {answer.status}: {answer.text[:300]}, expected invalid_token")
    expect("/events/0/attribution_token" in answer.text, f"the field is not named: {answer.text[:300]}")
    if answer.status < 300:
        expect(answer.body["accepted"] == 0, f"accepted {answer.body['accepted']}, expected 0")


def _cells(report: Mapping[str, Any], kind: str) -> dict[Cell, int]:
    return {
        (placement["placement"], epoch["epoch"], variant): count
        for placement in report["placements"]
        for epoch in placement["epochs"]
        for variant, count in zip(report["variants"], epoch[kind], strict=True)
    }


def _exposures(report: Mapping[str, Any]) -> int:
    """All exposures; the hold-out is counted apart."""
    return int(report["exposures"]) + int(report["holdout"]["held_out"]["exposures"])


def _clicks(report: Mapping[str, Any]) -> int:
    return int(report["clicks"]) + int(report["holdout"]["held_out"]["clicks"])


def _expected_loss(report: Mapping[str, Any], variant: str) -> float:
    placement = next(entry for entry in report["placements"] if entry["placement"] == PLACEMENT)
    return float(next(entry["expected_loss"] for entry in placement["variants"] if entry["variant"] == variant))
