"""One synthesis per test run: it takes seconds, the assertions afterwards nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cdk.node import use_bundled_node

use_bundled_node(os.environ)  # before aws_cdk is imported anywhere

from cdk.composition import compose, new_app  # noqa: E402
from cdk.deployment import ROOT, read_deployment  # noqa: E402

KEY_DIGEST = "ab" * 32


@dataclass(frozen=True)
class Synthesis:
    """A cloud assembly on disk: templates by part, and the folders of its assets."""

    folder: Path
    templates: dict[str, dict[str, Any]]

    def resources(self, kind: str, part: str | None = None) -> dict[str, dict[str, Any]]:
        """Properties of all resources of a CloudFormation type, by logical id."""
        return {
            logical_id: resource.get("Properties", {})
            for name, template in self.templates.items()
            if part in (None, name)
            for logical_id, resource in template["Resources"].items()
            if resource["Type"] == kind
        }

    def asset(self, resource: dict[str, Any]) -> Path:
        """The staged folder behind the `Code` or `Content` of a function or a layer."""
        code = resource.get("Code") or resource["Content"]
        return self.folder / f"asset.{code['S3Key'].removesuffix('.zip')}"


def synthesise(folder: Path, *, root: Path = ROOT, **context: str) -> Synthesis:
    """Synthesise into `folder` without the built runtime layer, as on a machine that never built it."""
    app = new_app(outdir=str(folder))
    chosen = read_deployment({"publishable_key_digests": KEY_DIGEST, **context})
    stacks = compose(app, deployment=replace(chosen, root=root, runtime_layer=folder / "not-built"))
    app.synth()
    names = {part: f"{stack.stack_name}.template.json" for part, stack in stacks.items()}
    return Synthesis(folder, {part: json.loads((folder / name).read_text()) for part, name in names.items()})


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synthesis]:
    """The development environment."""
    yield synthesise(tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synthesis]:
    """The production environment."""
    yield synthesise(tmp_path_factory.mktemp("prod"), environment="prod", allowed_origins="https://shop.example")
