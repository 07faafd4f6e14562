"""The main job's last step: where a new bundle goes, and that this alone publishes nothing again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from local.pipeline import steps
from local.settings import RunSettings, StateFolder


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
