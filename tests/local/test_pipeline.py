"""The main job's last step: where a new bundle goes, and that this alone publishes nothing again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from local.pipeline import steps
from local.settings import ROOT, RunSettings, StateFolder
from training_jobs.graph import JOBS


def test_a_release_as_canary_is_told_to_the_publish_job_alone_and_repeats_no_step(tmp_path: Path) -> None:
    usual = RunSettings(StateFolder(tmp_path))

    current = steps(usual, environment={})
    canary = steps(replace(usual, release="canary"), environment={})

    told = {step.name: json.loads(step.environment.get("SM_HPS", "{}")) for step in canary}
    assert [name for name, parameters in told.items() if "release" in parameters] == ["publish"]
    assert told["publish"]["release"] == "canary"
    assert [step.parameters for step in current] == [step.parameters for step in canary]


def test_a_shops_own_warehouse_is_exported_and_never_built_over(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)

    own, *jobs = steps(RunSettings(state, source="own"), environment={})
    built, *usual = steps(RunSettings(state), environment={})

    assert own.command[2:] == (
        *("warehouse", "export", "--database", str(state.warehouse)),
        *("--exports", str(state.exports), "--landing", str(state.landing)),
    )
    assert "build" in built.command
    assert [job.parameters for job in jobs] == [job.parameters for job in usual]


def test_a_job_is_run_again_where_any_code_that_it_imports_was_changed(tmp_path: Path) -> None:
    """What a job takes from another job comes through its channels: there the upstream step is run again."""
    made = {step.name: step for step in steps(RunSettings(StateFolder(tmp_path)), environment={})}

    for job in JOBS:
        folder = ROOT / "training_jobs" / job.name
        text = "\n".join(path.read_text() for path in folder.rglob("*.py"))
        imported = set(re.findall(r"^from training_jobs\.(\w+)", text, re.MULTILINE)) - set(made[job.name].upstream)
        watched = {source.stem for source in made[job.name].sources if source.is_relative_to(ROOT / "training_jobs")}
        assert imported <= watched, f"{job.name} imports what its step does not watch: local/pipeline.py"
