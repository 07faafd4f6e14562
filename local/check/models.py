"""Checks of the published files: what training measured of every ONNX file against its PyTorch source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from recommender.contracts.artifacts import QUERY_ENCODER, REQUIRED_FILES, RETRIEVAL, SESSION_RETRIEVAL

from local.check.shopping import expect
from local.settings import StateFolder
from training_jobs.environment import read_metrics
from training_jobs.graph import JOBS

TOLERANCE: Final = 1e-4
QUANTISED: Final = (QUERY_ENCODER, RETRIEVAL, SESSION_RETRIEVAL)
ONNX_FILES: Final = tuple(name for name in REQUIRED_FILES if name.endswith(".onnx"))


def onnx_agrees_with_pytorch(state: StateFolder) -> dict[str, Any]:
    """Every ONNX file of the bundle is within 1e-4 of its source; quantised ones state their rank agreement."""
    parity = {name: measured for job in JOBS for name, measured in _parity(state, job.name).items()}
    missing = [name for name in ONNX_FILES if name not in parity]
    expect(not missing, f"no parity was measured for {', '.join(missing)}")
    for name in ONNX_FILES:
        difference = float(parity[name]["max_abs_difference"])
        expect(difference <= TOLERANCE, f"{name} differs by {difference:.2e}, at most {TOLERANCE:.0e}")
    unstated = [name for name in QUANTISED if "rank_agreement" not in parity[name]]
    expect(not unstated, f"no rank agreement is stated for {', '.join(unstated)}")
    return {name: parity[name] for name in ONNX_FILES}


def _parity(state: StateFolder, job: str) -> Mapping[str, Mapping[str, float]]:
    found: Mapping[str, Mapping[str, float]] = read_metrics(state.model(job)).get("onnx_parity", {})
    return found
