"""moto's AWS on a port of this process: SNS, SQS and S3 as they are, SageMaker's pipelines with some things added.

moto answers every start of a pipeline with a new execution that has succeeded at once, and cannot list its steps.
Here an execution goes on until the test says how it ended, a ClientRequestToken that was seen before is answered
with the execution it started, as SageMaker promises, and the list of steps is empty. The answer to the first start
of all is lost, an error in its place, so that whoever started has to ask again. No step runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

from tests.dags.running import free_port

REGION = "eu-central-1"


@contextlib.contextmanager
def aws() -> Iterator[dict[str, str]]:
    """The environment of whoever is to speak to it, this process included."""
    from moto.core.exceptions import JsonRESTError
    from moto.core.responses import ActionResult
    from moto.sagemaker.models import SageMakerModelBackend
    from moto.sagemaker.responses import SageMakerResponse
    from moto.server import ThreadedMotoServer

    start = SageMakerModelBackend.start_pipeline_execution

    def start_once(backend: Any, pipeline_name: str, *others: Any) -> dict[str, str]:
        executions = backend.pipelines[pipeline_name].pipeline_executions
        for arn, known in executions.items():
            if known.client_request_token == others[-1]:
                return {"PipelineExecutionArn": arn}
        started: dict[str, str] = start(backend, pipeline_name, *others)
        executions[started["PipelineExecutionArn"]].pipeline_execution_status = "Executing"
        if len(executions) == 1:
            raise JsonRESTError("AnswerLost", "the execution was started, and nobody heard of it")
        return started

    def no_steps(response: Any) -> Any:
        return ActionResult({"PipelineExecutionSteps": []})

    for talkative in ("werkzeug", "botocore"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }
    with (
        mock.patch.object(SageMakerModelBackend, "start_pipeline_execution", start_once),
        mock.patch.object(SageMakerResponse, "list_pipeline_execution_steps", no_steps, create=True),
        mock.patch.dict(os.environ, environment),
    ):
        server.start()
        try:
            yield environment
        finally:
            server.stop()


def client(service: str) -> Any:
    """A boto3 client of it, for whoever runs inside `aws()`."""
    import boto3

    return boto3.client(service)


def make_pipeline(name: str) -> None:
    """A pipeline without steps."""
    role = "arn:aws:iam::123456789012:role/training"
    client("sagemaker").create_pipeline(
        PipelineName=name, PipelineDefinition='{"Version": "2020-12-01", "Steps": []}', RoleArn=role
    )


def executions(pipeline: str) -> list[str]:
    """ARNs of what was started of a pipeline, oldest first."""
    found = client("sagemaker").list_pipeline_executions(PipelineName=pipeline)["PipelineExecutionSummaries"]
    return [entry["PipelineExecutionArn"] for entry in sorted(found, key=lambda entry: entry["StartTime"])]


def end(execution: str, status: str) -> None:
    """Let an execution end as SageMaker would say it did: Succeeded, Failed or Stopped."""
    from moto.sagemaker.models import sagemaker_backends

    account, pipeline = execution.split(":")[4], execution.split("/")[1]
    known = sagemaker_backends[account][REGION].pipelines[pipeline].pipeline_executions
    known[execution].pipeline_execution_status = status


class Inbox:
    """A topic, and a queue that keeps what is published to it."""

    def __init__(self) -> None:
        self.topic = client("sns").create_topic(Name="alerts")["TopicArn"]
        self._queue = client("sqs").create_queue(QueueName="alerts")["QueueUrl"]
        client("sns").subscribe(
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint=self.topic.replace(":sns:", ":sqs:"),
            Attributes={"RawMessageDelivery": "true"},
        )
        self._seen: list[str] = []

    def messages(self) -> list[str]:
        """All that came so far."""
        while found := client("sqs").receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self._seen.append(message["Body"])
                client("sqs").delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return self._seen
