"""What all DAGs share: settings from the environment of the workers, the open warehouse, retries, alerts.

WAREHOUSE_LANDING   stage or folder of the landed events, such as @raw.landing/events/
WAREHOUSE_EXPORTS   s3:// prefix or folder below which each day's exports are written
WAREHOUSE_ERASURES  folder of erasure requests: *.txt, one id a line
WAREHOUSE_DATABASE  folder of the embedded engine; without it the connection `snowflake_default` is used
WAREHOUSE_UNLOAD    `stage` (default, COPY INTO a stage) or `cursor`, for a server that cannot unload
WAREHOUSE_CATCHUP_FROM   day (YYYY-MM-DD) from which the nights that were missed are made up; without it, none are
WAREHOUSE_RETRY_SECONDS  first pause before a retry, doubled each time up to 15 minutes (default 60)
TRAINING_PIPELINE_NAME   the SageMaker pipeline; without it `train_models` skips
ALERT_TOPIC         ARN of an SNS topic for failures and missed deadlines; without it they are logged only
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context

from warehouse.scheduled import report_deadline, report_failure

if TYPE_CHECKING:
    from warehouse.engine import Warehouse

WRITER = "warehouse_writer"  # one slot: the lease in the warehouse would refuse a second writer anyway
TRAINING = "training"
START = datetime(2026, 1, 1, tzinfo=UTC)
CATCHUP_FROM = os.environ.get("WAREHOUSE_CATCHUP_FROM")
NIGHTLY = {
    "start_date": datetime.fromisoformat(CATCHUP_FROM).replace(tzinfo=UTC) if CATCHUP_FROM else START,
    "catchup": bool(CATCHUP_FROM),
}
MARTS = Asset(name="recommender_marts", uri="snowflake://snowflake_default/recommender/marts/order_lines")
EXPORTS = Asset(name="recommender_exports", uri="snowflake://snowflake_default/recommender/exports/purchases_v1")


def _alerts() -> list[Any]:
    topic = os.environ.get("ALERT_TOPIC")
    if not topic:
        return [report_failure]
    from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

    text = "{{ dag.dag_id }} failed in {{ run_id }}"
    return [report_failure, SnsNotifier(target_arn=topic, subject="recommender schedule", message=text)]


def deadline(after: timedelta) -> dict[str, Any]:
    """Arguments of a DAG that must be done this long after it was queued; none before Airflow 3.1."""
    try:
        from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference
    except ImportError:
        return {}
    callback = AsyncCallback(report_deadline)
    if topic := os.environ.get("ALERT_TOPIC"):
        from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

        text = f"A run is not done {after} after it was queued."
        callback = AsyncCallback(SnsNotifier, kwargs={"target_arn": topic, "message": text})
    alert = DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=after, callback=callback)
    return {"deadline": alert}


DEFAULTS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=float(os.environ.get("WAREHOUSE_RETRY_SECONDS", "60"))),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=2),
    "pool": WRITER,
    "on_failure_callback": _alerts(),
}


@contextmanager
def opened() -> Iterator[Warehouse]:
    """The warehouse, with every table and view that it should have."""
    from warehouse.engine import Warehouse, open_local
    from warehouse.scheduled import CursorUnloader
    from warehouse.statements import create_layers
    from warehouse.unload import SnowflakeUnloader

    if folder := os.environ.get("WAREHOUSE_DATABASE"):
        with open_local(Path(folder)) as warehouse:
            create_layers(warehouse.connection)
            yield warehouse
        return
    unloader = CursorUnloader if os.environ.get("WAREHOUSE_UNLOAD") == "cursor" else SnowflakeUnloader
    with closing(_connect()) as connection:
        create_layers(connection)
        yield Warehouse(connection, unloader(connection))


def _connect() -> Any:
    """A session of the connection `snowflake_default`; the provider's hook leaves out its extra `protocol`."""
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

    hook = SnowflakeHook(session_parameters={"TIMEZONE": "UTC"})
    protocol = hook.get_connection("snowflake_default").extra_dejson.get("protocol")
    if not protocol:
        return hook.get_conn()
    import snowflake.connector

    return snowflake.connector.connect(**hook._get_conn_params(), protocol=protocol)


def moment() -> datetime:
    """When the run is due, naive UTC: the end of its interval. The same in every retry and rerun."""
    context = get_current_context()
    due = context.get("data_interval_end") or context["dag_run"].run_after
    return due.astimezone(UTC).replace(tzinfo=None)


def day() -> date:
    """The day on which the run is due."""
    return moment().date()


def holder() -> str:
    """Who holds the warehouse's lease: the run, so that a retry takes over from its own dead attempt."""
    run = get_current_context()["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


def export(warehouse: Warehouse) -> dict[str, str]:
    """Write the exports of this run's day, and say so on the asset that starts the training."""
    from warehouse.daily import export_to

    target = f"{os.environ['WAREHOUSE_EXPORTS'].rstrip('/')}/{day()}"
    uri = export_to(warehouse, target, now=moment(), s3=client("s3") if target.startswith("s3://") else None)
    get_current_context()["outlet_events"][EXPORTS].extra = {"uri": uri, "day": str(day())}
    return {"uri": uri}


def client(service: str) -> Any:
    """A boto3 client."""
    import boto3

    return boto3.client(service)
