"""Findings of cdk-nag (AWS Solutions checks) that are meant, each with its reason. All others fail the tests.

Wildcards are listed by pattern, because cdk-nag names each of them by generated ids that change with a rename.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aws_cdk as core

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

# metric that functions emit and no alarm watches -> why
UNWATCHED: Final[Mapping[str, str]] = {
    "ExposuresCounted": "zero where no experiment runs; a counter that fails or lags has errors, age and lost batches",
    "ClicksCounted": "an hour without a click is no fault of ours; an experiment's guardrails judge its clicks",
}


def acknowledge(part: str, stack: core.Stack) -> None:
    """Record the reasons on the stack, where the checks and an auditor find them."""
    rules = [core.Acknowledgment(id=PREFIX + rule, reason=reason) for rule, reason in ACKNOWLEDGED[part].items()]
    if rules:
        core.Validations.of(stack).acknowledge(*rules)
