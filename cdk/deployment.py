"""What one deployment chooses: the environment, the browser keys, the origins and where the layers lie.

Read once, in app.py, from the CDK context (`cdk.json` or `-c name=value`); every stack receives it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cdk.settings import ENVIRONMENTS, Environment

TRAINING_STARTERS: Final = ("schedule", "airflow")
ROOT: Final = Path(__file__).parent.parent
RUNTIME_LAYER: Final = ROOT / ".build" / "runtime-layer"  # what `layers/runtime/build.py` makes
CONTEXT_NAMES: Final = (
    "environment",
    "publishable_key_digests",
    "allowed_origins",
    "placements",
    "training_starter",
    "runtime_layer",
)


class WrongContext(ValueError):
    """A context value that no deployment can be made from."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment. Paths are absolute."""

    environment: Environment
    publishable_key_digests: tuple[str, ...] = ()
    placements: str = "default"
    training_starter: str = "schedule"  # "airflow" leaves the schedules in place but switched off
    root: Path = ROOT
    runtime_layer: Path = RUNTIME_LAYER

    @property
    def prefix(self) -> str:
        """What stack and pipeline names start with."""
        return f"recommender-{self.environment.name}"


def read_deployment(context: Mapping[str, Any]) -> Deployment:
    """The deployment that the context describes; absent values take their defaults (environment `dev`)."""
    name = context.get("environment") or "dev"
    if name not in ENVIRONMENTS:
        raise WrongContext(f"context `environment` is {name!r}, expected one of {', '.join(ENVIRONMENTS)}")
    starter = context.get("training_starter") or "schedule"
    if starter not in TRAINING_STARTERS:
        raise WrongContext(f"context `training_starter` is {starter!r}, expected one of {', '.join(TRAINING_STARTERS)}")
    environment = ENVIRONMENTS[name]
    origins = _words(context.get("allowed_origins"))
    return Deployment(
        environment=replace(environment, allowed_origins=origins or environment.allowed_origins),
        publishable_key_digests=_digests(context.get("publishable_key_digests")),
        placements=context.get("placements") or "default",
        training_starter=starter,
        runtime_layer=Path(context.get("runtime_layer") or RUNTIME_LAYER).absolute(),
    )


def _digests(value: object) -> tuple[str, ...]:
    digests = _words(value)
    for digest in digests:
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise WrongContext(
                f"context `publishable_key_digests` has {digest!r}, expected SHA-256 digests of 64 hex digits"
            )
    return digests


def _words(value: object) -> tuple[str, ...]:
    """A comma-separated text or a list, as non-empty words."""
    parts = value if isinstance(value, list) else str(value or "").split(",")
    return tuple(str(part).strip() for part in parts if str(part).strip())
