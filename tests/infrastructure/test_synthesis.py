"""Synthesis itself: repeatable, without account, honest about what is missing, and clean under cdk-nag."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aws_cdk as core
import cdk_nag
import pytest

from cdk.acknowledged import WILDCARDS
from cdk.composition import compose, new_app
from cdk.deployment import ROOT, WrongContext, read_deployment
from tests.infrastructure.conftest import KEY_DIGEST, Synthesis, synthesise


def test_byte_code_and_installation_leftovers_change_no_asset(tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    for name in ("functions", "layers"):
        shutil.copytree(ROOT / name, clean / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    used = tmp_path / "used"
    shutil.copytree(clean, used)
    for folder in (used / "layers/recommender/python/recommender", used / "functions/recommend"):
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "leftover.pyc").write_bytes(b"leftover")
    (used / "layers/recommender/python/recommender.egg-info").mkdir()
    (used / "layers/recommender/python/recommender.egg-info/PKG-INFO").write_text("leftover")

    assets = [
        {path.name for path in synthesise(tmp_path / root.name / "out", root=root).folder.glob("asset.*")}
        for root in (clean, used)
    ]

    assert assets[0] == assets[1]
    assert len(assets[0]) >= 3


def test_templates_name_no_account(dev: Synthesis) -> None:
    text = json.dumps(dev.templates)
    numbers = set(re.findall(r"\b\d{12}\b", text))
    assert numbers == {"763104351884"}  # the account of AWS's own container images


def test_without_its_runtime_layer_the_application_is_checked_but_not_deployable(dev: Synthesis) -> None:
    errors = [
        entry["data"]
        for metadata in dev.folder.glob("*.metadata.json")
        for entries in json.loads(metadata.read_text()).values()
        for entry in entries
        if entry["type"] == "aws:cdk:error"
    ]
    assert errors
    assert all("make layers" in error for error in errors)


def test_with_its_runtime_layer_the_application_is_deployable(tmp_path: Path) -> None:
    (tmp_path / "layer" / "python").mkdir(parents=True)
    (tmp_path / "layer" / "python" / "package.py").write_text("")
    app = new_app(outdir=str(tmp_path / "out"))
    chosen = read_deployment({"publishable_key_digests": KEY_DIGEST})
    compose(app, deployment=replace(chosen, runtime_layer=tmp_path / "layer"))
    app.synth()
    assert not [file for file in (tmp_path / "out").glob("*.json") if "aws:cdk:error" in file.read_text()]


def test_cdk_nag_finds_nothing_that_is_not_meant(tmp_path: Path) -> None:
    app = new_app(outdir=str(tmp_path))
    compose(app, deployment=replace(read_deployment({}), runtime_layer=tmp_path / "not-built"))
    core.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app, verbose=False))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()  # the wildcards below are findings, too: each is judged here

    (report,) = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    findings = {violation["ruleName"] for violation in report["violations"]}
    wildcards = {finding for finding in findings if finding.startswith("AwsSolutions-IAM5[")}
    assert findings - wildcards == set()
    for finding in wildcards:
        resource = finding.removeprefix("AwsSolutions-IAM5[Resource::").removesuffix("]")
        assert any(re.fullmatch(known, resource) for known in WILDCARDS), finding


def test_cfn_lint_finds_nothing(dev: Synthesis) -> None:
    """W3005 is CDK's own DependsOn beside a reference."""
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", "W3005", "--"]
    found = subprocess.run(
        [*command, *map(str, dev.folder.glob("*.template.json"))], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"environment": "staging"}, "expected one of dev, prod"),
        ({"training_starter": "cron"}, "expected one of schedule, airflow"),
        ({"publishable_key_digests": "secret"}, "64 hex digits"),
    ],
)
def test_a_wrong_context_is_refused_in_one_sentence(context: dict[str, str], message: str) -> None:
    with pytest.raises(WrongContext, match=message):
        read_deployment(context)
