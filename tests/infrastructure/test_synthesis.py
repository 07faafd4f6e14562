"""Synthesis itself: repeatable, without account, honest about what is missing, and clean under cdk-nag."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aws_cdk as core
import cdk_nag
import pytest
from sagemaker.core import image_uris

from cdk.composition import WILDCARDS, compose, new_app
from cdk.deployment import ROOT, WrongContext, read_deployment
from cdk.image_accounts import IMAGE_ACCOUNTS
from tests.infrastructure.conftest import KEY_DIGEST, Synthesis, synthesise
from training_jobs.graph import TORCH_IMAGE


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
    assert numbers == set(IMAGE_ACCOUNTS.values())  # AWS's own accounts of container images


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


def test_the_accounts_of_the_images_are_those_of_the_sagemaker_sdk() -> None:
    config = Path(image_uris.__file__).parent / "image_uri_config" / "pytorch.json"
    version = json.loads(config.read_text())["training"]["versions"][TORCH_IMAGE["version"]]
    assert dict(IMAGE_ACCOUNTS) == version["registries"]


def test_a_stack_without_a_region_takes_the_account_of_the_region_that_it_is_deployed_in(dev: Synthesis) -> None:
    (accounts,) = dev.templates["training"]["Mappings"].values()
    assert {region: entry["account"] for region, entry in accounts.items()} == dict(IMAGE_ACCOUNTS)


@pytest.mark.parametrize(("region", "account"), [("eu-south-1", "692866216735"), ("eu-central-1", "763104351884")])
def test_the_jobs_of_a_region_may_pull_from_that_regions_account(
    region: str, account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDK_DEFAULT_REGION", region)
    policies = synthesise(tmp_path).resources("AWS::IAM::Policy", "training")
    assert set(re.findall(r":ecr:[\w-]+:(\d{12}):repository/", json.dumps(policies))) == {account}


def test_a_region_without_images_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "CDK_DEFAULT_REGION": "eu-south-9", "CDK_OUTDIR": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert re.fullmatch(r"region is 'eu-south-9', expected one with SageMaker's PyTorch images: af-south-1, .*\.", said)
    assert "Traceback" not in done.stderr
