"""The training jobs, the channels that each one reads, the settings of their pipeline, and the code that they run.

A job is started as `python -m <module>` under the training-container contract: each channel is a folder named by
SM_CHANNEL_<NAME>, and the files in SM_MODEL_DIR are the channel of later jobs. Hyperparameters stand here only where
jobs must agree on them; all others have their default in the job. SageMaker gets `training_jobs` and the recommender
package side by side, under a key that is the hash of the content, so unchanged code leaves the pipeline definition
unchanged.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Final

EXPORTS_CHANNEL: Final = "exports"
HOLDOUT_DAYS: Final = 28
TORCH_IMAGE: Final = {"version": "2.10.0", "py_version": "py313"}  # AWS's, in which all jobs run
RELEASES: Final = ("current", "canary")  # of publish: a new bundle goes in force, or an experiment tries it out
EXPORTS_PARAMETER = "ExportsUri"
RELEASE_PARAMETER = "Release"
PREFIX = "TRAINING_"
Upload = Callable[[Path, str], None]  # folder, key prefix in the artifacts bucket
ROOT = Path(__file__).parent.parent
CODE_PREFIX = "training/code"
REQUIREMENTS = "training_jobs/requirements.txt"  # inside the staged folder
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", ".*")
AGREED: Final = {"holdout_days": HOLDOUT_DAYS}


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
        """The module for `python -m`."""
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


class MissingPipelineSetting(RuntimeError):
    """A variable without which the pipeline cannot be built, or one that has no meaning."""


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Names from the stacks. Field `role_arn` is read from TRAINING_ROLE_ARN."""

    pipeline_name: str
    role_arn: str
    artifacts_bucket: str
    exports_uri: str  # where a scheduled run finds the exports
    shoppers_table: str
    region: str
    release: str = "current"  # of RELEASES, for the bundle of a scheduled run
    max_age_days: str = "3"  # data that end longer before the run are refused; "any": none are

    def __post_init__(self) -> None:
        """Refuse values that a job would refuse hours later."""
        if self.max_age_days != "any" and not self.max_age_days.isdecimal():
            raise MissingPipelineSetting(f"{PREFIX}MAX_AGE_DAYS is {self.max_age_days!r}, expected days or any")
        if self.release not in RELEASES:
            raise MissingPipelineSetting(f"{PREFIX}RELEASE is {self.release!r}, expected one of {', '.join(RELEASES)}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PipelineSettings:
        """Read every field from its variable; raises MissingPipelineSetting naming all absent ones."""
        names = {entry.name: PREFIX + entry.name.upper() for entry in fields(cls)}
        required = {names[entry.name] for entry in fields(cls) if entry.default is MISSING}
        missing = [variable for variable in names.values() if variable in required and not environment.get(variable)]
        if missing:
            raise MissingPipelineSetting(f"set {', '.join(missing)}")
        given = {name: environment[variable] for name, variable in names.items() if environment.get(variable)}
        return cls(**given)


def stage_code(target: Path) -> Path:
    """Copy the code that a job runs into the empty folder `target`."""
    shutil.copytree(ROOT / "training_jobs", target / "training_jobs", ignore=LEFT_OUT)
    package = ROOT / "layers" / "recommender" / "python" / "recommender"
    shutil.copytree(package, target / "recommender", ignore=LEFT_OUT)
    return target


def content_key(folder: Path) -> str:
    """`training/code/<16 hex>`: SHA-256 over the relative paths and bytes of all files, in order of path."""
    digest = hashlib.sha256()
    for file in files_in(folder):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return f"{CODE_PREFIX}/{digest.hexdigest()[:16]}"


def files_in(folder: Path) -> list[Path]:
    """All files below a folder in order of path, without byte code, whose bytes differ from machine to machine."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
