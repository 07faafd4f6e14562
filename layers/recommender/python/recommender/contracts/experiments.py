"""Requests of the experiments' administrative routes: the types and their parsers.

Types and ranges are checked here, names and statistics in domain/experiments. Every problem names its field by
JSON pointer, with the value that was found and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from recommender.contracts.fields import (
    problem,
    read_flag,
    read_integer,
    read_list,
    read_number,
    read_object,
    read_optional_text,
    read_text,
    refuse_unknown,
)

MAX_REASON: Final = 500
MAX_NAMES: Final = 64
ID_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_ID: Final = {"pattern": f"^{ID_PATTERN}$"}
_REASON: Final = {"maxLength": MAX_REASON, "description": "kept in the audit trail"}
_SHARE: Final = {"minimum": 0, "maximum": 1}
_INTEGERS: Final = ("first_look_day", "max_days", "time_box_days", "maturation_days", "drop_days", "least_clicks")
_NUMBERS: Final = ("error_share", "futility_loss", "expected_loss", "boundary")


@dataclass(frozen=True, slots=True)
class DesignRequest:
    """The design to register before the start; fields left out have their defaults."""

    rule: str | None = field(default=None, metadata={"enum": ["claim", "optimise"]})
    looks: str | None = field(default=None, metadata={"enum": ["day", "week"]})
    allocation: str | None = field(default=None, metadata={"enum": ["top_two", "thompson"]})
    standardised: bool | None = None
    first_look_day: int | None = None
    max_days: int | None = None
    time_box_days: int | None = None
    maturation_days: int | None = None
    drop_days: int | None = None
    error_share: float | None = None
    futility_loss: float | None = None
    expected_loss: float | None = None
    least_clicks: int | None = None
    boundary: float | None = None

    def given(self) -> dict[str, Any]:
        """The fields that the request names."""
        return {entry.name: value for entry in fields(self) if (value := getattr(self, entry.name)) is not None}


@dataclass(frozen=True, slots=True)
class ExperimentRequest:
    """POST /v1/experiments: a draft, or a new version of one. The first variant is the control."""

    experiment_id: str = field(metadata=_ID)
    placements: tuple[str, ...] = field(metadata={"minItems": 1})
    variants: tuple[str, ...] = field(metadata={"minItems": 2, "maxItems": 8})
    mode: str = field(default="test", metadata={"enum": ["test", "canary"]})
    bundle_id: str | None = None
    salt: str | None = None
    floor_share: float = field(default=0.02, metadata=_SHARE)
    holdout_share: float = field(default=0.05, metadata=_SHARE)
    loss_limit: float = field(default=0.1, metadata=_SHARE)
    weights: Mapping[str, tuple[float, ...]] = field(
        default_factory=dict, metadata={"description": "of the first epoch, by placement in order of the variants"}
    )
    design: DesignRequest = field(default_factory=DesignRequest)
    expected_daily_exposures: Mapping[str, float] = field(
        default_factory=dict,
        metadata={"type": ["object", "number"], "description": "by placement, or one number for each of them"},
    )
    expected_click_rate: float | None = field(default=None, metadata=_SHARE)
    expected_design_effect: float = field(default=1.0, metadata={"minimum": 1})
    reason: str | None = field(default=None, metadata=_REASON)
    dry_run: bool = field(default=False, metadata={"description": "check and forecast only; nothing is stored"})


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """POST /v1/experiments/{experiment_id}/…: kill takes one name, decide a variant for all placements or for each."""

    reason: str | None = field(default=None, metadata=_REASON)
    variant: str | None = None
    placement: str | None = None
    placements: Mapping[str, str] = field(default_factory=dict)


ALLOWED: Final = {
    "kill": frozenset({"reason", "variant", "placement"}),
    "decide": frozenset({"reason", "variant", "placements"}),
}


def parse_experiment(raw: object) -> ExperimentRequest:
    """The body of POST /v1/experiments."""
    body = read_object(raw, "")
    refuse_unknown(body, frozenset(entry.name for entry in fields(ExperimentRequest)), "")
    placements = _names(body.get("placements"), "/placements")
    rate = body.get("expected_click_rate")
    return ExperimentRequest(
        experiment_id=_experiment_id(body.get("experiment_id")),
        placements=placements,
        variants=_names(body.get("variants"), "/variants"),
        mode=read_text(body.get("mode", "test"), "/mode"),
        bundle_id=read_optional_text(body.get("bundle_id"), "/bundle_id"),
        salt=read_optional_text(body.get("salt"), "/salt"),
        floor_share=read_number(body.get("floor_share", 0.02), "/floor_share", low=0, high=1),
        holdout_share=read_number(body.get("holdout_share", 0.05), "/holdout_share", low=0, high=1),
        loss_limit=read_number(body.get("loss_limit", 0.1), "/loss_limit", low=0, high=1),
        weights=_weights(body.get("weights"), placements),
        design=_design(body.get("design")),
        expected_daily_exposures=_exposures(body.get("expected_daily_exposures"), placements),
        expected_click_rate=None if rate is None else read_number(rate, "/expected_click_rate", low=1e-6, high=1),
        expected_design_effect=read_number(
            body.get("expected_design_effect", 1.0), "/expected_design_effect", low=1, high=1000
        ),
        reason=_reason(body),
        dry_run=read_flag(body.get("dry_run", False), "/dry_run"),
    )


def parse_action(action: str, raw: object) -> ActionRequest:
    """The body of an action; only kill and decide take more than a reason."""
    body = read_object({} if raw is None else raw, "")
    refuse_unknown(body, ALLOWED.get(action, frozenset({"reason"})), "")
    variant = read_optional_text(body.get("variant"), "/variant")
    placement = read_optional_text(body.get("placement"), "/placement")
    if variant and placement:
        raise problem("/placement", placement, "a variant or a placement, not both")
    chosen = read_object(body.get("placements") or {}, "/placements")
    if variant and chosen:
        raise problem("/variant", variant, "either one variant for all placements, or `placements`")
    if action == "decide" and not (variant or chosen):
        raise problem("/variant", variant, "the variant to ship everywhere, or `placements` with one for each")
    choices = {name: read_text(value, f"/placements/{name}") for name, value in chosen.items()}
    return ActionRequest(_reason(body), variant, placement, choices)


def _experiment_id(value: object) -> str:
    text = read_text(value, "/experiment_id")
    if not re.fullmatch(ID_PATTERN, text):
        raise problem("/experiment_id", text, "at most 64 letters, digits, '_', '.' and '-', the first no sign")
    return text


def _reason(body: Mapping[str, Any]) -> str | None:
    return read_optional_text(body.get("reason"), "/reason", at_most=MAX_REASON)


def _names(value: object, pointer: str) -> tuple[str, ...]:
    return tuple(
        read_text(name, f"{pointer}/{n}") for n, name in enumerate(read_list(value, pointer, at_most=MAX_NAMES))
    )


def _weights(value: object, placements: tuple[str, ...]) -> Mapping[str, tuple[float, ...]]:
    """By placement; one array stands for every placement."""
    if value is None:
        return {}
    given = dict.fromkeys(placements, value) if isinstance(value, list) else read_object(value, "/weights")
    _for_each(given, placements, "/weights")
    return {
        name: tuple(
            read_number(weight, f"/weights/{name}/{k}", low=0, high=1)
            for k, weight in enumerate(read_list(row, f"/weights/{name}", at_most=MAX_NAMES))
        )
        for name, row in given.items()
    }


def _exposures(value: object, placements: tuple[str, ...]) -> Mapping[str, float]:
    """By placement; one number stands for every placement."""
    if value is None:
        return {}
    pointer = "/expected_daily_exposures"
    if not isinstance(value, Mapping):
        return dict.fromkeys(placements, read_number(value, pointer, low=0, high=1e12))
    _for_each(value, placements, pointer)
    return {name: read_number(amount, f"{pointer}/{name}", low=0, high=1e12) for name, amount in value.items()}


def _for_each(given: Mapping[str, Any], placements: tuple[str, ...], pointer: str) -> None:
    """Refuse an object whose keys are not exactly the placements of the experiment."""
    if given.keys() != set(placements):
        wrong = sorted(given.keys() ^ set(placements))[0]
        found = "missing" if wrong in placements else "not a placement of this experiment"
        raise problem(f"{pointer}/{wrong}", found, "a value for each of " + ", ".join(placements))


def _design(value: object) -> DesignRequest:
    body = read_object({} if value is None else value, "/design")
    refuse_unknown(body, frozenset(entry.name for entry in fields(DesignRequest)), "/design")
    read: dict[str, Any] = {}
    for name, found in body.items():
        pointer = f"/design/{name}"
        if name in _INTEGERS:
            read[name] = read_integer(found, pointer, low=0, high=366)
        elif name in _NUMBERS:
            read[name] = read_number(found, pointer, low=0, high=100)
        elif name == "standardised":
            read[name] = read_flag(found, pointer)
        else:
            read[name] = read_text(found, pointer)
    return DesignRequest(**read)
