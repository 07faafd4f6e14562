"""Alerts of the schedule: a task that failed, a run that is late. One line of the log, one message to a topic.

Airflow calls these with its context; they read plain values from it and import nothing of Airflow, so they are the
same on every version and in each of its processes (worker, DAG processor, triggerer). Nothing here names a shopper.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

logger = logging.getLogger(__name__)

SUBJECT: Final = "recommender schedule"
LATE: Final = "timed_out"  # Airflow's word for a run that its dagrun_timeout ended


def report_failure(context: Mapping[str, Any]) -> None:
    """Write the log line that names the failed task and its run; alarms are made from it."""
    task = context["task_instance"]
    logger.error("failed: dag %s, task %s, run %s", task.dag_id, task.task_id, task.run_id)


class ReportRun:
    """Alert on a failed run in any case, because a task whose process was killed cannot."""

    def __init__(self, limit: str, topic: str = "") -> None:
        self._limit, self._topic = limit, topic

    def __call__(self, context: Mapping[str, Any]) -> None:
        """Log and publish."""
        dag_id, run_id, reason = context["dag"].dag_id, context["run_id"], context.get("reason")
        if reason == LATE:
            send_alert(late(dag_id, run_id, f"given up after {self._limit}"), self._topic)
        else:
            send_alert(f"failed: dag {dag_id}, run {run_id}: {reason}", self._topic)


async def report_deadline(*, limit: str, topic: str = "", context: Mapping[str, Any] | None = None) -> None:
    """Called by the triggerer where a run is not done in time; the run goes on."""
    run = (context or {}).get("dag_run") or {}
    text = late(run.get("dag_id", "?"), run.get("dag_run_id", "?"), f"not done {limit} after it was queued")
    await asyncio.to_thread(send_alert, text, topic)


def late(dag_id: str, run_id: str, what: str) -> str:
    """The sentence of a run that is late."""
    return f"late: dag {dag_id}, run {run_id}: {what}"


def send_alert(text: str, topic: str) -> None:
    """To the log, and to the SNS topic where one is named."""
    logger.error(text)
    if topic:
        import boto3

        region = topic.split(":")[3]  # arn:aws:sns:REGION:ACCOUNT:NAME
        boto3.client("sns", region_name=region).publish(TopicArn=topic, Subject=SUBJECT, Message=text)
