"""The publish job: gate, manifest, upload, pointer; then the shoppers into their table.

The bundle goes to the bucket of RECOMMENDER_ARTIFACTS_BUCKET or the folder of RECOMMENDER_ARTIFACTS_FOLDER, the
shoppers to the table of RECOMMENDER_SHOPPERS_TABLE, where it is set. Its manifest records the commit and the hash of
the code.

Decisions: docs/decisions/bundle.md (003).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import recommender
from recommender.adapters.dynamodb.client import connect
from recommender.adapters.dynamodb.state import DynamoShoppers
from recommender.adapters.folder import FolderArtifacts
from recommender.adapters.s3 import S3Artifacts
from recommender.contracts.artifacts import CURRENT
from recommender.contracts.fields import problem
from recommender.contracts.settings import MissingSetting
from recommender.domain.serving.features import FEATURES
from recommender.pointers import pointed
from recommender.ports import ArtifactStore

import training_jobs
from training_jobs.environment import SHOPPERS, JobEnvironment, read_metrics
from training_jobs.exports import Exports, exports_of
from training_jobs.gate import judge, require_pass
from training_jobs.graph import RELEASES
from training_jobs.publishing import (
    Origin,
    build_manifest,
    champion_manifest,
    collect_files,
    describe_files,
    load_shoppers,
    publish,
)

BUCKET = "RECOMMENDER_ARTIFACTS_BUCKET"
FOLDER = "RECOMMENDER_ARTIFACTS_FOLDER"
SHOPPERS_TABLE = "RECOMMENDER_SHOPPERS_TABLE"
MODEL_CHANNELS = ("content", "two_tower", "session_ranker")
UNKNOWN = "unknown"  # the commit outside a repository


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyperparameters. `tolerance`: share of the champion's figure that a new bundle may lose.

    `release`: "current" puts a bundle that passed the gate in force; "canary" offers it to an experiment first.
    """

    tolerance: float = 0.05
    release: str = "current"

    def __post_init__(self) -> None:
        """Refuse an unknown release before anything is read."""
        if self.release not in RELEASES:
            raise problem("/SM_HPS/release", self.release, "one of " + ", ".join(RELEASES))


def main(environment: JobEnvironment, variables: Mapping[str, str], *, now: datetime) -> str:
    """Run the job; returns the id of the published bundle. Raises Conflict `gate_failed`; then nothing has changed."""
    settings = environment.settings(Settings)
    store = artifact_store(variables)
    exports = exports_of(environment)
    folders = [environment.channel(name) for name in MODEL_CHANNELS]
    evaluation = read_metrics(environment.channel("evaluate"))
    champion = champion_manifest(store)
    champion_metrics = champion.metrics.get("evaluate") if champion else None
    verdict = judge(evaluation, champion_metrics, tolerance=settings.tolerance)
    environment.write_metrics({"gate": verdict})
    require_pass(verdict)
    paths = collect_files(folders)
    jobs = {name: read_metrics(folder) for name, folder in zip(MODEL_CHANNELS, folders, strict=True)}
    manifest = build_manifest(
        describe_files(paths),
        _origin(exports),
        created_at=now,
        features=FEATURES,
        metrics={"evaluate": evaluation, **jobs},
        gate=verdict,
        settings={"derived_data": exports.derived},
    )
    bundle_id = publish(store, manifest, paths, as_canary=settings.release == "canary")
    written = _write_shoppers(environment.channel("session_ranker") / SHOPPERS, variables)
    in_force = pointed(store, CURRENT)
    environment.write_metrics(
        {"gate": verdict, "bundle_id": bundle_id, "in_force": in_force, "shoppers_written": written}
    )
    return bundle_id


def artifact_store(variables: Mapping[str, str]) -> ArtifactStore:
    """The store that the environment names. Raises MissingSetting."""
    if variables.get(BUCKET):
        return S3Artifacts.connect(variables[BUCKET], read_timeout_seconds=120.0)
    if variables.get(FOLDER):
        return FolderArtifacts(Path(variables[FOLDER]))
    raise MissingSetting(f"set {BUCKET} or {FOLDER}")


def _origin(exports: Exports) -> Origin:
    return Origin(
        git_commit=git_commit(Path(__file__).parent),
        code_hash=code_hash(),
        data_hash=exports.data_hash,
        data_from=f"{exports.data_from.isoformat()}Z",
        data_until=f"{exports.data_until.isoformat()}Z",
    )


def _write_shoppers(path: Path, variables: Mapping[str, str]) -> int:
    table = variables.get(SHOPPERS_TABLE)
    return load_shoppers(path, DynamoShoppers(connect(), table)) if table else 0


def git_commit(folder: Path) -> str:
    """The commit checked out in `folder`, with `-dirty` where files differ from it; "unknown" outside a repository."""
    head = _git(folder, "rev-parse", "HEAD")
    if not head:
        return UNKNOWN
    return f"{head}-dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else head


def code_hash() -> str:
    """SHA-256 over the paths and bytes of the Python files that train and serve."""
    digest = hashlib.sha256()
    for root in (Path(recommender.__file__).parent, Path(training_jobs.__file__).parent):
        for path in sorted(root.rglob("*.py")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{root.name}/{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    main(JobEnvironment.from_environment(os.environ), os.environ, now=datetime.now(UTC))
