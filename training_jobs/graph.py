"""The training jobs and what each one reads: the one declaration behind the SageMaker pipeline and the local run.

Pure data. A job is started as `python -m <module>` under the training-container contract: each channel is a
folder named by SM_CHANNEL_<NAME>, and what the job writes to SM_MODEL_DIR is the channel of later jobs.
Hyperparameters stand here only where jobs must agree on them; all others have their default in the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

EXPORTS_CHANNEL: Final = "exports"
HOLDOUT_DAYS: Final = 28
TORCH_IMAGE: Final = {"version": "2.10.0", "py_version": "py313"}  # AWS's, in which all jobs run
RELEASES: Final = ("current", "canary")  # of publish: a new bundle goes in force, or an experiment tries it out


@dataclass(frozen=True, slots=True)
class Channel:
    """One input folder: its name in the environment, and the job whose model folder it is (None: the exports)."""

    name: str
    job: str | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """Where a job runs in SageMaker. `is_spot` jobs resume from their checkpoint folder after a reclaim."""

    kind: str = "ml.m7i.2xlarge"
    count: int = 1
    disk_gb: int = 50
    timeout_seconds: int = 6 * 3600
    is_spot: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """One training job. Jobs are listed in an order in which every channel is written before it is read."""

    name: str
    channels: tuple[Channel, ...]
    hyperparameters: Mapping[str, int | float | str] = field(default_factory=dict)
    instance: Instance = field(default_factory=Instance)

    @property
    def module(self) -> str:
        """What `python -m` starts."""
        return f"training_jobs.{self.name}.train"

    @property
    def upstream(self) -> tuple[str, ...]:
        """Names of the jobs that must have finished."""
        return tuple(channel.job for channel in self.channels if channel.job is not None)


EXPORTS: Final = Channel(EXPORTS_CHANNEL)
CONTENT: Final = Channel("content", "content_bert")
TWO_TOWER: Final = Channel("two_tower", "two_tower")
SESSION_RANKER: Final = Channel("session_ranker", "session_ranker")
EVALUATE: Final = Channel("evaluate", "evaluate")
AGREED: Final = {"holdout_days": HOLDOUT_DAYS}

JOBS: Final = (
    Job("content_bert", (EXPORTS,), AGREED, Instance(kind="ml.g5.xlarge")),
    Job("two_tower", (EXPORTS, CONTENT), AGREED, Instance(kind="ml.g5.xlarge", disk_gb=100)),
    Job("session_ranker", (EXPORTS, CONTENT, TWO_TOWER), AGREED, Instance(kind="ml.m7i.4xlarge", disk_gb=100)),
    Job("evaluate", (EXPORTS, CONTENT, TWO_TOWER, SESSION_RANKER), AGREED, Instance(kind="ml.m7i.4xlarge")),
    Job(
        "publish",
        (EXPORTS, CONTENT, TWO_TOWER, SESSION_RANKER, EVALUATE),
        instance=Instance(kind="ml.m7i.large", timeout_seconds=3600, is_spot=False),
    ),
)


def job(name: str) -> Job:
    """The job of this name. Raises KeyError."""
    return {entry.name: entry for entry in JOBS}[name]
