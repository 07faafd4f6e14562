"""The application: four stacks and how they depend on each other.

data        tables, buckets, the signing secret, the alarm topic: what must survive
serving     recommend, assign_variant, collect_events behind the HTTP API
experiment  the two consumers of the session stream and the reallocation
training    the SageMaker role and the schedules of the training pipeline
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import aws_cdk as core

from cdk.acknowledged import acknowledge
from cdk.deployment import CONTEXT_NAMES, ROOT, Deployment, read_deployment
from cdk.stacks.data import DataStack
from cdk.stacks.experiment import ExperimentStack
from cdk.stacks.serving import ServingStack
from cdk.stacks.training import TrainingStack


def new_app(*, outdir: str | None = None, context: Mapping[str, Any] | None = None) -> core.App:
    """An application with the context of cdk.json below `context`, so that a plain `python app.py` has it too."""
    declared = json.loads((ROOT / "cdk.json").read_text())["context"]
    return core.App(outdir=outdir, context={**declared, **(context or {})}, analytics_reporting=False)


def compose(app: core.App, *, deployment: Deployment | None = None) -> dict[str, core.Stack]:
    """Add the four stacks; they belong to no account until the command line names one."""
    chosen = deployment or read_deployment({name: app.node.try_get_context(name) for name in CONTEXT_NAMES})
    options: dict[str, Any] = {
        "deployment": chosen,
        "env": core.Environment(
            account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=os.environ.get("CDK_DEFAULT_REGION")
        ),
    }
    data = DataStack(app, f"{chosen.prefix}-data", **options)
    serving = ServingStack(app, f"{chosen.prefix}-serving", stores=data.stores, **options)
    experiment = ExperimentStack(app, f"{chosen.prefix}-experiment", stores=data.stores, **options)
    training = TrainingStack(app, f"{chosen.prefix}-training", stores=data.stores, **options)
    stacks: dict[str, core.Stack] = {
        "data": data,
        "serving": serving,
        "experiment": experiment,
        "training": training,
    }
    for name, stack in stacks.items():
        core.Tags.of(stack).add("application", "recommender")
        core.Tags.of(stack).add("environment", chosen.environment.name)
        core.Tags.of(stack).add("part", name)
        acknowledge(name, stack)
    return stacks
