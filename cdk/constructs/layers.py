"""The two Lambda layers: our own package, and third-party packages as built.

Each stack makes its own versions from the same assets: a layer version passed between stacks becomes a
CloudFormation export, which cannot change while another stack uses it.

Decisions: docs/decisions/cdk.md (001, 081).
"""

from __future__ import annotations

import aws_cdk as core
from aws_cdk import aws_lambda as lambda_
from constructs import Construct
from recommender.contracts.folders import MARKER

from cdk.deployment import Deployment
from cdk.layer_sources import BUILT, DIGEST, NOT_SHIPPED, is_current

RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64


class Layers(Construct):
    """`recommender`: the tested sources, with byte code where it was built. `runtime`: numpy, onnxruntime and so on."""

    def __init__(self, scope: Construct, construct_id: str, *, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self.all: list[lambda_.ILayerVersion] = [
            self._layer("Recommender", self._recommender_code(deployment), "The recommender package"),
            self._layer("Runtime", self._runtime_code(deployment), "Third-party packages"),
        ]

    def _layer(self, construct_id: str, code: lambda_.Code, description: str) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            construct_id,
            code=code,
            description=description,
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURE],
        )

    def _runtime_code(self, deployment: Deployment) -> lambda_.Code:
        """The built layer; where it was not built, its recipe stands in, so that templates can be made and checked.

        The stand-in carries an error, which the CDK command line refuses to deploy.
        """
        if (deployment.runtime_layer / "python").is_dir():
            return lambda_.Code.from_asset(str(deployment.runtime_layer), exclude=[MARKER])
        core.Annotations.of(self).add_error(
            "the runtime layer is not built: these templates can be checked, not deployed. Run `make layers` first"
        )
        return lambda_.Code.from_asset(str(deployment.root / "layers" / "runtime"), exclude=list(NOT_SHIPPED))

    def _recommender_code(self, deployment: Deployment) -> lambda_.Code:
        """The built layer where it was built from today's sources, else the sources: never yesterday's code."""
        built, own = deployment.runtime_layer.with_name(BUILT), deployment.root / "layers" / "recommender"
        if is_current(built, own):
            return lambda_.Code.from_asset(str(built), exclude=[MARKER, DIGEST])
        core.Annotations.of(self).add_warning_v2(
            "recommender:no-byte-code",
            "the recommender layer was not built from today's sources, so it has no byte code: run `make layers`",
        )
        return lambda_.Code.from_asset(str(own), exclude=list(NOT_SHIPPED))
