"""The application: four stacks and how they depend on each other.

data        tables, buckets, the signing secret, the alarm topic: what must survive
serving     recommend, assign_variant, collect_events behind the HTTP API
experiment  the two consumers of the session stream and the reallocation
training    the SageMaker role and the schedules of the training pipeline

Findings of cdk-nag (AWS Solutions checks) that are meant, each with its reason. All others fail the tests.

Wildcards are listed by pattern, because cdk-nag names each of them by generated ids that change with a rename.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final

import aws_cdk as core

from cdk.deployment import CONTEXT_NAMES, ROOT, Deployment, read_deployment
from cdk.stacks.data import DataStack
from cdk.stacks.experiment import ExperimentStack
from cdk.stacks.serving import ServingStack
from cdk.stacks.training import TrainingStack

PREFIX: Final = "AwsSolutions::AwsSolutions-"
NEWEST_RUNTIME: Final = {
    "L1": "python3.13 is the newest runtime for which the layer's wheels and its ahead-of-time byte code are tested"
}

# part of the application -> rule -> why it is meant
ACKNOWLEDGED: Final[Mapping[str, Mapping[str, str]]] = {
    "data": {
        "SMG4": "rotation voids the tokens in flight, which grant no access; docs/deploy.md says how to change it",
    },
    "serving": {
        **NEWEST_RUNTIME,
        "APIG4": "browser routes carry a publishable key, which the function checks and the stage throttles; health "
        "and OpenAPI are public; every administrative route has IAM authorization",
    },
    "experiment": {
        **NEWEST_RUNTIME,
        "SQS3": "these queues are the dead-letter queues of event source mappings, which the rule does not look at",
    },
    "training": {},
}

# pattern of a wildcard resource -> why no narrower one exists
WILDCARDS: Final[Mapping[str, str]] = {
    r"\*": "X-Ray, ECR login and CloudWatch metrics know no resource; the metrics are bound to one namespace",
    r".*ArtifactsBucket\w+/(bundles|checkpoints|training)/\*": "objects below a prefix",
    r".*EventsBucket\w+/\*": "objects of the landing; put only",
    r".*ExportsBucket\w+/\*": "objects of the exports; get only",
    r"<ReallocateTraffic\w+\.Arn>:\*": "versions of the one function that the schedule starts",
    r"arn:.*:sagemaker:.*:training-job/\*": "the pipeline names its jobs itself",
    r"arn:.*:ecr:.*JobsImageAccounts\w+['\"].*AWS::Region.*account.*:repository/\*": "AWS's own images, pull only",
    r"arn:.*:logs:.*:/aws/sagemaker/TrainingJobs\*": "the log groups of SageMaker training jobs",
}


def acknowledge(part: str, stack: core.Stack) -> None:
    """Record the reasons on the stack, where the checks and an auditor find them."""
    rules = [core.Acknowledgment(id=PREFIX + rule, reason=reason) for rule, reason in ACKNOWLEDGED[part].items()]
    if rules:
        core.Validations.of(stack).acknowledge(*rules)


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
