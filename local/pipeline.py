"""The main job as a list of steps: purchases → warehouse → exports → training jobs → published bundle.

Each training job is a child process under the SageMaker container contract (channels, hyperparameters,
SM_* folders), as declared in training_jobs/graph.py; what the jobs are in SageMaker they are here.

How long to train: the real purchases within a coffee break, the small generated shop in seconds.

A first run must end within ten minutes on two cores, so tuning, towers and encoder get less time than the jobs'
defaults, which serve a nightly run. The small profile exists for the end-to-end test. It proves that the parts fit,
not that the models are good.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from recommender.contracts.artifacts import CURRENT

from local.aws.processes import bare_environment
from local.settings import GENERATED_SOURCE, OWN_SOURCE, PACKAGE, ROOT, RunSettings, StateFolder
from local.steps import Step
from training_jobs.graph import JOBS, Job

FIRST_RUN: Final[Mapping[str, Mapping[str, Any]]] = {
    "content_bert": {"max_seconds": 40, "sample_texts": 600},
    "two_tower": {"most_steps": 150},
    "session_ranker": {"groups_per_cut": 600, "encoder_seconds": 30},
}
SMALL: Final[Mapping[str, Mapping[str, Any]]] = {
    "content_bert": {"max_pairs": 96, "sample_texts": 200},
    "two_tower": {"most_steps": 150},
    "session_ranker": {
        "groups_per_cut": 100,
        "candidates": 200,
        "encoder_seconds": 5,
        "encoder_tail_prefixes": 200,
        "ranker_epochs": 2,
    },
    "evaluate": {"shoppers": 120, "candidates": 200},
}


def hyperparameters(source: str, job: str) -> Mapping[str, Any]:
    """Hyperparameters that differ from the job's own defaults."""
    return (SMALL if source == GENERATED_SOURCE else FIRST_RUN).get(job, {})


WAREHOUSE: Final = "warehouse"
TITLES: Final = {
    "content_bert": "Tune the text encoder on the catalogue",
    "two_tower": "Train the two-tower model",
    "session_ranker": "Build the session models and the ranker",
    "evaluate": "Evaluate against the baselines",
    "publish": "Check the gate and publish the bundle",
}
MANIFEST: Final = "manifest.json"


def steps(settings: RunSettings, *, environment: Mapping[str, str]) -> list[Step]:
    """Every step of the main job, in order."""
    shared = child_environment(environment, cache=settings.state.cache)
    return [_warehouse(settings, shared), *(_job(job, settings, shared) for job in JOBS)]


def child_environment(environment: Mapping[str, str], *, cache: Path) -> dict[str, str]:
    """The environment of the batch children: quiet, offline, threads that do not spin."""
    threads = environment.get("OMP_NUM_THREADS") or str(os.cpu_count() or 1)
    return {
        **bare_environment(environment),
        **{name: environment[name] for name in ("COLUMNS", "TERM") if name in environment},
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(PACKAGE))),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(cache / "matplotlib"),
    }


def _warehouse(settings: RunSettings, shared: Mapping[str, str]) -> Step:
    state = settings.state
    is_own = settings.source == OWN_SOURCE  # filled already: only what the running shop has landed is added
    choice = [] if is_own else ["--source", settings.source]
    if settings.source == GENERATED_SOURCE:
        choice += ["--shoppers", str(settings.shoppers), "--days", str(settings.days), "--seed", str(settings.seed)]
    folders = ["--database", str(state.warehouse), "--exports", str(state.exports), "--landing", str(state.landing)]
    return Step(
        name=WAREHOUSE,
        title="Load the purchases and build the warehouse",
        command=(sys.executable, "-m", "warehouse", "export" if is_own else "build", *choice, *folders),
        environment=shared,
        parameters=json.dumps(choice),
        sources=(ROOT / "warehouse", PACKAGE / "recommender" / "contracts"),
        required=(state.exports / MANIFEST, state.warehouse),  # the build itself throws away what is half-made
    )


def _job(job: Job, settings: RunSettings, shared: Mapping[str, str]) -> Step:
    state = settings.state
    parameters = {**job.hyperparameters, **hyperparameters(settings.source, job.name)}
    # Where a bundle went is no reason to publish it again: the release stays out of the fingerprint.
    release = {"release": settings.release} if job.name == "publish" else {}
    folder = state.job(job.name)
    recommender = PACKAGE / "recommender"
    return Step(
        name=job.name,
        title=TITLES.get(job.name, job.name),
        command=(sys.executable, "-m", job.module),
        environment={**shared, **container_variables(job, state, {**parameters, **release})},
        parameters=json.dumps(parameters, sort_keys=True),
        sources=(
            *shared_code(),
            ROOT / "training_jobs" / job.name,
            recommender / "contracts",
            recommender / "domain",
        ),
        upstream=job.upstream or (WAREHOUSE,),
        outputs=(state.model(job.name), folder / "output"),
        required=(state.artifacts / CURRENT,) if job.name == "publish" else (),
        resumable=(folder / "checkpoints",),
    )


def shared_code() -> list[Path]:
    """List the code that several jobs run: the modules of training_jobs, and its folders that are no job."""
    folder, jobs = ROOT / "training_jobs", {job.name for job in JOBS}
    rooms = (path.parent for path in folder.glob("*/__init__.py") if path.parent.name not in jobs)
    return [*sorted(folder.glob("*.py")), *sorted(rooms)]


def container_variables(job: Job, state: StateFolder, parameters: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a training container."""
    folder = state.job(job.name)
    channels = {
        f"SM_CHANNEL_{channel.name.upper()}": str(state.exports if channel.job is None else state.model(channel.job))
        for channel in job.channels
    }
    return {
        **channels,
        "SM_MODEL_DIR": str(folder / "model"),
        "SM_OUTPUT_DATA_DIR": str(folder / "output"),
        "SM_CHECKPOINT_DIR": str(folder / "checkpoints"),
        "SM_HPS": json.dumps(parameters),
        "RECOMMENDER_ARTIFACTS_FOLDER": str(state.artifacts),
    }
