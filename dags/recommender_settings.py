"""Shared by all DAGs: settings from the environment of the workers, retries, alerts, the due time of a run.

WAREHOUSE_LANDING   stage or folder of the landed events, such as @raw.landing/events/
WAREHOUSE_EXPORTS   s3:// prefix or folder below which each day's exports are written, and its page in quality/
WAREHOUSE_ERASURES  s3:// prefix or folder of erasure requests: *.txt, one id a line
WAREHOUSE_DATABASE  folder of the embedded engine; without it the connection `snowflake_default` is used
WAREHOUSE_UNLOAD    `stage` (default, COPY INTO a stage) or `cursor`, for a server that cannot unload
WAREHOUSE_CATCHUP_FROM   day (YYYY-MM-DD) from which the nights that were missed are made up; without it, none are
WAREHOUSE_RETRY_SECONDS  first pause before a retry, doubled each time up to 15 minutes (default 60)
TRAINING_POKE_SECONDS    between two looks at the training that goes on (default 300)
TRAINING_PIPELINE_NAME   the SageMaker pipeline; without it `train_models` skips
ALERT_TOPIC         ARN of an SNS topic for failures and missed deadlines; without it they are logged only

Decisions: docs/decisions/schedule.md (015, 167, 179).
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context

from warehouse.day.alerts import SUBJECT, ReportRun, report_deadline, report_failure

if TYPE_CHECKING:
    from warehouse.connect import Warehouse

WRITER = "warehouse_writer"  # one slot: the lease in the warehouse would refuse a second writer anyway
TRAINING = "training"
POKE_SECONDS = float(os.environ.get("TRAINING_POKE_SECONDS", "300"))
START = datetime(2026, 1, 1, tzinfo=UTC)
CATCHUP_FROM = os.environ.get("WAREHOUSE_CATCHUP_FROM")
NIGHTLY = {
    "start_date": datetime.fromisoformat(CATCHUP_FROM).replace(tzinfo=UTC) if CATCHUP_FROM else START,
    "catchup": bool(CATCHUP_FROM),
}
MARTS = Asset(name="recommender_marts", uri="snowflake://snowflake_default/recommender/marts/order_lines")
EXPORTS = Asset(name="recommender_exports", uri="snowflake://snowflake_default/recommender/exports/purchases_v1")
TOPIC = os.environ.get("ALERT_TOPIC", "")


def _alerts() -> list[Any]:
    if not TOPIC:
        return [report_failure]
    from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

    text = "failed: dag {{ ti.dag_id }}, task {{ ti.task_id }}, run {{ run_id }}, try {{ ti.try_number }}"
    return [report_failure, SnsNotifier(target_arn=TOPIC, subject=SUBJECT, message=text)]


def in_time(deadline: timedelta, given_up: timedelta) -> dict[str, Any]:
    """Arguments of a DAG that alerts if a run is not finished by `deadline`, and ends it at `given_up`.

    Airflow 3.0 has no deadlines: there the second is the first alert. A triggerer alerts at deadlines.
    """
    timeout = {"dagrun_timeout": given_up, "on_failure_callback": ReportRun(str(given_up), TOPIC)}
    try:
        from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference
    except ImportError:
        return timeout
    callback = AsyncCallback(report_deadline, kwargs={"limit": str(deadline), "topic": TOPIC})
    queued = DeadlineReference.DAGRUN_QUEUED_AT
    return {**timeout, "deadline": DeadlineAlert(reference=queued, interval=deadline, callback=callback)}


DEFAULTS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=float(os.environ.get("WAREHOUSE_RETRY_SECONDS", "60"))),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=2),
    "pool": WRITER,
    "on_failure_callback": _alerts(),
}


def moment() -> datetime:
    """When the run is due, naive UTC: the end of its interval. The same in every retry and rerun."""
    context = get_current_context()
    due = context.get("data_interval_end") or context["dag_run"].run_after
    return due.astimezone(UTC).replace(tzinfo=None)


def day() -> date:
    """The day on which the run is due."""
    return moment().date()


def holder() -> str:
    """The run by name. It holds the warehouse's lease, so that a retry takes over from its own dead attempt."""
    run = get_current_context()["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


def export(warehouse: Warehouse) -> dict[str, str]:
    """Write the exports of this run's day, and emit the asset event that starts the training."""
    from warehouse.day.schedule import export_to

    target, context = below_exports(str(day())), get_current_context()
    full = bool(context["params"].get("full"))
    uri = export_to(warehouse, target, now=moment(), s3=client("s3", target), full=full)
    context["outlet_events"][EXPORTS].extra = {"uri": uri, "day": str(day())}
    return {"uri": uri}


def newest_exports() -> dict[str, str]:
    """Return the event of the exports that started this run; for a run started by hand, of the newest ones."""
    context = get_current_context()
    events = context["triggering_asset_events"].get(EXPORTS) or context["inlet_events"][EXPORTS]
    return dict(events[-1].extra)


def below_exports(name: str) -> str:
    """A folder or an s3:// prefix beside the exports."""
    return f"{os.environ['WAREHOUSE_EXPORTS'].rstrip('/')}/{name}"


def client(service: str, address: str = "s3://") -> Any:
    """A boto3 client; none where `address` is not on S3."""
    import boto3

    return boto3.client(service) if address.startswith("s3://") else None
