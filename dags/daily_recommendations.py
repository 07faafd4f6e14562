"""The daily schedule: landed events to marts to exports, then training. No logic of its own.

Each task calls one function of `warehouse` or `training_jobs.pipeline`; rerunning or backfilling a day changes
nothing, because those functions are idempotent. Settings (environment of the workers):
    WAREHOUSE_LANDING   stage or folder of the landed events, such as @raw.landing/events/
    WAREHOUSE_EXPORTS   s3:// prefix or folder below which each day's exports are written
    WAREHOUSE_DATABASE  folder of the embedded engine; without it the connection `snowflake_default` is used
    TRAINING_PIPELINE_NAME, AWS_REGION  the SageMaker pipeline; without a name the training task is skipped
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, dag, get_current_context, task

if TYPE_CHECKING:
    from warehouse.engine import Warehouse

MARTS = Asset(name="recommender_marts", uri="snowflake://snowflake_default/recommender/marts/order_lines")
EXPORTS = Asset(name="recommender_exports", uri="snowflake://snowflake_default/recommender/exports/purchases_v1")
RETRIES = {
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
}


@dag(
    dag_id="daily_recommendations",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=RETRIES,
    tags=["recommender"],
    doc_md=__doc__,
)
def daily_recommendations() -> None:
    """load_landed -> run_day -> export -> train, one day after the other."""

    @task(execution_timeout=timedelta(hours=1))
    def load_landed() -> int:
        from warehouse.daily import load_landed
        from warehouse.statements import create_layers

        with _warehouse() as warehouse:
            create_layers(warehouse.connection)
            return load_landed(warehouse.connection, os.environ["WAREHOUSE_LANDING"], loaded_at=_now())

    @task(outlets=[MARTS], execution_timeout=timedelta(hours=2))
    def run_day() -> list[str]:
        from warehouse.pipeline import run_day

        with _warehouse() as warehouse:
            return list(run_day(warehouse.connection, _day()).warnings)

    @task(outlets=[EXPORTS], execution_timeout=timedelta(hours=2))
    def export() -> str:
        from warehouse.daily import export_to

        target = f"{os.environ['WAREHOUSE_EXPORTS'].rstrip('/')}/{_day()}"
        with _warehouse() as warehouse:
            return export_to(warehouse, target, now=_now(), s3=_client("s3") if target.startswith("s3://") else None)

    @task.skip_if(lambda context: not os.environ.get("TRAINING_PIPELINE_NAME"))
    @task
    def train(exports_uri: str) -> str:
        from training_jobs.pipeline import start

        name = os.environ["TRAINING_PIPELINE_NAME"]
        return start(exports_uri, pipeline_name=name, run_id=str(_day()), sagemaker=_client("sagemaker"))

    exported = export()
    load_landed() >> run_day() >> exported
    train(exported)


@contextmanager
def _warehouse() -> Iterator[Warehouse]:
    from warehouse.engine import Warehouse, open_local
    from warehouse.unload import SnowflakeUnloader

    if folder := os.environ.get("WAREHOUSE_DATABASE"):
        with open_local(Path(folder)) as warehouse:
            yield warehouse
        return
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

    with closing(SnowflakeHook().get_conn()) as connection:
        yield Warehouse(connection, SnowflakeUnloader(connection))


def _day() -> date:
    """The day on which the run takes place; a manual run without a logical date is one of today."""
    context = get_current_context()
    moment = context.get("data_interval_end") or context["dag_run"].run_after
    return moment.astimezone(UTC).date()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _client(service: str) -> Any:
    import boto3

    return boto3.client(service)


daily_recommendations()
