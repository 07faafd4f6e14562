"""The request path: the functions that answer HTTP, behind one API."""

from __future__ import annotations

from typing import Any

import aws_cdk as core
from constructs import Construct
from recommender.contracts.routes import FUNCTIONS

from cdk.constructs.http_api import PlacementApi
from cdk.constructs.layers import Layers
from cdk.constructs.python_function import PythonFunction
from cdk.deployment import Deployment
from cdk.stores import Stores


class ServingStack(core.Stack):
    """Every function whose trigger is `http`, and the routes to them."""

    def __init__(
        self, scope: Construct, construct_id: str, *, deployment: Deployment, stores: Stores, **options: Any
    ) -> None:
        super().__init__(scope, construct_id, **options)
        layers = Layers(self, "Layers", deployment=deployment)
        self.functions = {
            definition.name: PythonFunction(
                self,
                definition.name.title().replace("_", ""),
                definition=definition,
                deployment=deployment,
                layers=layers,
                stores=stores,
            )
            for definition in FUNCTIONS
            if definition.trigger == "http"
        }
        self.api = PlacementApi(self, "Api", functions=self.functions, deployment=deployment, stores=stores)
        core.CfnOutput(self, "ApiUrl", value=self.api.url)
        if not deployment.publishable_key_digests:
            core.Annotations.of(self).add_warning_v2(
                "recommender:no-publishable-keys",
                "no browser key is known: browser routes will answer 401. Set context publishable_key_digests",
            )
