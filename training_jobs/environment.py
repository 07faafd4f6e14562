"""The environment of a training job as values: channels, folders and hyperparameters.

The SageMaker training container sets these variables and the local run sets the same ones, so one entry point runs in
both places. A job names its hyperparameters in a frozen dataclass with defaults; `settings` refuses unknown ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from recommender.contracts.fields import one_of, problem
from recommender.errors import NotFound

METRICS = "metrics.json"
CURVES = "curves.json"
CONTENT_ROWS = "content_rows.npy"  # the text of each item among the content vectors
SHOPPERS = "shoppers.jsonl"
CHANNEL_PREFIX = "SM_CHANNEL_"
MAX_AGE_DAYS = "TRAINING_MAX_AGE_DAYS"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Freshness:
    """The age limit of the data of a run: they end at most `max_age_days` before `day` (UTC)."""

    day: date
    max_age_days: int


@dataclass(frozen=True, slots=True)
class JobEnvironment:
    """The container contract as values; the folders exist. Without `freshness` data of any age will do."""

    model_dir: Path
    output_dir: Path
    checkpoint_dir: Path
    channels: Mapping[str, Path] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    freshness: Freshness | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, today: date | None = None) -> JobEnvironment:
        """Read SM_CHANNEL_*, SM_MODEL_DIR, SM_OUTPUT_DATA_DIR, SM_CHECKPOINT_DIR and SM_HPS (JSON object).

        TRAINING_MAX_AGE_DAYS, where it is set, limits the age of the data, counted from `today`.
        """
        channels = {
            name.removeprefix(CHANNEL_PREFIX).lower(): Path(folder)
            for name, folder in environment.items()
            if name.startswith(CHANNEL_PREFIX)
        }
        return cls(
            model_dir=_folder(environment, "SM_MODEL_DIR", "/opt/ml/model"),
            output_dir=_folder(environment, "SM_OUTPUT_DATA_DIR", "/opt/ml/output/data"),
            checkpoint_dir=_folder(environment, "SM_CHECKPOINT_DIR", "/opt/ml/checkpoints"),
            channels=channels,
            hyperparameters=_hyperparameters(environment.get("SM_HPS", "{}")),
            freshness=_freshness(environment.get(MAX_AGE_DAYS, ""), today or datetime.now(UTC).date()),
        )

    def channel(self, name: str) -> Path:
        """The folder of an input channel. Raises NotFound, naming the variable to set."""
        folder = self.channels.get(name)
        if folder is None or not folder.is_dir():
            found = "not set" if folder is None else f"{folder}, which is no folder"
            raise NotFound(f"{CHANNEL_PREFIX}{name.upper()} is {found}; expected the folder of channel {name!r}")
        return folder

    def settings(self, kind: type[T]) -> T:
        """The hyperparameters as the dataclass `kind`: absent ones keep their default, unknown ones are refused.

        SageMaker may pass every value as text, so a value is read as the type of its default.
        """
        defaults = kind()
        known = {entry.name: getattr(defaults, entry.name) for entry in fields(kind)}  # type: ignore[arg-type]
        for name, value in self.hyperparameters.items():
            if name not in known:
                raise problem(f"/SM_HPS/{name}", value, one_of(name, known), "unknown_field")
        return kind(**{name: _like(known[name], value, name) for name, value in self.hyperparameters.items()})

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write `metrics.json` beside the model files."""
        text = json.dumps(metrics, indent=2, sort_keys=True, allow_nan=False)
        (self.model_dir / METRICS).write_text(text + "\n")

    def write_curves(self, curves: Mapping[str, Any]) -> None:
        """Write the training curves to `curves.json`."""
        (self.model_dir / CURVES).write_text(json.dumps(curves) + "\n")


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics of the job behind this channel. Raises NotFound."""
    path = folder / METRICS
    if not path.is_file():
        raise NotFound(f"{path} does not exist; expected the metrics of a finished job")
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


def _folder(environment: Mapping[str, str], name: str, default: str) -> Path:
    folder = Path(environment.get(name, default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _freshness(text: str, day: date) -> Freshness | None:
    if not text:
        return None
    if not text.isdecimal():
        raise problem(f"/{MAX_AGE_DAYS}", text, "a whole number of days, or nothing where data of any age will do")
    return Freshness(day, int(text))


def _hyperparameters(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise problem("/SM_HPS", text, "a JSON object")
    return value


def _like(default: Any, value: Any, name: str) -> Any:
    kind = type(default)
    if kind is bool:
        lowered = str(value).lower()
        if lowered not in ("true", "false"):
            raise problem(f"/SM_HPS/{name}", value, "true or false")
        return lowered == "true"
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise problem(f"/SM_HPS/{name}", value, f"{kind.__name__} such as {default!r}") from error
