"""Settings of the local run (command line) and its state (one folder, safe to delete).

Secrets of one state folder: made at random the first time, readable by the owner only, never shown in logs.

What can go wrong around the system rather than in it; each is shown as one sentence, then the run ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "layers" / "recommender" / "python"
REGION: Final = "eu-central-1"
REAL_SOURCE: Final = "complete-journey"
GENERATED_SOURCE: Final = "generated"
OWN_SOURCE: Final = "own"  # a shop's own files, brought into the state folder's warehouse by warehouse.load
SOURCES: Final = (REAL_SOURCE, GENERATED_SOURCE, OWN_SOURCE)
SNAPSHOT_TTL_SECONDS: Final = 2  # after this time every function serves the experiments that are in force


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The folder `.local` (or another) and what lies where in it."""

    root: Path

    @property
    def warehouse(self) -> Path:
        """Database of the embedded Snowflake."""
        return self.root / "warehouse"

    @property
    def exports(self) -> Path:
        """Parquet exports with their manifest."""
        return self.root / "exports"

    @property
    def landing(self) -> Path:
        """Events that the shop of earlier runs has landed."""
        return self.root / "landing"

    @property
    def artifacts(self) -> Path:
        """The published bundles that are kept between runs."""
        return self.root / "artifacts"

    @property
    def cache(self) -> Path:
        """The parts that may be deleted at any time."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.root / "logs"

    @property
    def steps(self) -> Path:
        """One marker for each finished step of the main job."""
        return self.root / "steps"

    @property
    def keys(self) -> Path:
        """Secrets of this folder, readable by the owner only."""
        return self.root / "keys.json"

    @property
    def reports(self) -> Path:
        """Reports of a folder that is not the usual one."""
        return self.root / "reports"

    @property
    def jobs(self) -> Path:
        """One folder a training job."""
        return self.root / "jobs"

    @property
    def lock(self) -> Path:
        """Held by the run that uses the folder."""
        return self.root / "lock"

    @property
    def parts(self) -> tuple[Path, ...]:
        """All that a run keeps in the folder; anything else there is the user's own."""
        folders = (self.warehouse, self.exports, self.landing, self.artifacts, self.cache, self.logs, self.steps)
        return (*folders, self.jobs, self.reports, self.keys, self.lock)

    def job(self, name: str) -> Path:
        """Folder of a training job: model, output, checkpoints."""
        return self.jobs / name

    def model(self, name: str) -> Path:
        """The output folder of a job."""
        return self.job(name) / "model"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One local run."""

    state: StateFolder
    port: int = 8080
    source: str = REAL_SOURCE
    shoppers: int = 300  # generated source only
    days: int = 120  # generated source only
    seed: int = 7  # generated source only
    period_seconds: float = 60.0  # between two reallocations
    keeps_events: bool = True  # what the shop lands goes into the next training
    registry: str = "default"
    reports: Path = ROOT / "reports"
    release: str = "current"  # of the publish job: a new bundle goes in force, or is a canary


@dataclass(frozen=True, slots=True)
class Keys:
    """The secret of attribution tokens, the browser's key, and the administrator's key pair."""

    signing_secret: str
    publishable_key: str
    access_key: str
    secret_key: str

    @property
    def publishable_key_digest(self) -> str:
        """Return the digest of the publishable key, as the functions are configured with it."""
        return hashlib.sha256(self.publishable_key.encode()).hexdigest()


def load_or_make(path: Path) -> Keys:
    """The keys in `path`; where there are none, or they cannot be read, new ones."""
    try:
        return Keys(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return _make(path)


def _make(path: Path) -> Keys:
    keys = Keys(
        signing_secret=secrets.token_hex(32),
        publishable_key=f"pk_local_{secrets.token_hex(12)}",
        access_key=f"LOCAL{secrets.token_hex(8).upper()}",
        secret_key=secrets.token_hex(20),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(keys), file)
    return keys


class LocalRunError(Exception):
    """The local run cannot go on; the message is one sentence with the cause and the remedy."""
