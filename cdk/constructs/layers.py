"""The two Lambda layers: our own package as it lies in the repository, and third-party packages as built.

Each stack makes its own versions from the same assets: a layer version passed between stacks becomes a
CloudFormation export, which cannot change while another stack uses it.
"""

from __future__ import annotations

import aws_cdk as core
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.deployment import Deployment

RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64
NOT_SHIPPED = ["**/__pycache__", "**/__pycache__/**", "**/*.pyc", "**/*.egg-info", "**/*.egg-info/**", "**/.*"]


class Layers(Construct):
    """`recommender` (tested folder = deployed folder) and `runtime` (numpy, onnxruntime, powertools, tokenizers)."""

    def __init__(self, scope: Construct, construct_id: str, *, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self.all: list[lambda_.ILayerVersion] = [
            self._layer("Recommender", _recommender_code(deployment), "The recommender package"),
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
            return lambda_.Code.from_asset(str(deployment.runtime_layer))
        core.Annotations.of(self).add_error(
            "the runtime layer is not built: these templates can be checked, not deployed. Run `make layers` first"
        )
        return lambda_.Code.from_asset(str(deployment.root / "layers" / "runtime"), exclude=NOT_SHIPPED)


def _recommender_code(deployment: Deployment) -> lambda_.Code:
    return lambda_.Code.from_asset(str(deployment.root / "layers" / "recommender"), exclude=NOT_SHIPPED)
