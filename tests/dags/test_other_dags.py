"""The other DAGs under a real scheduler and triggerer: backfill, erasures, the training, and what is told of failures.

Warehouse: the embedded engine over a folder. AWS: moto's (`aws.py` says what it does of SageMaker). The exports, the
requests and the quality pages go through S3. A minute or two; what happens is printed (`make airflow-test`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow has its own environment: make airflow-test")

from tests.dags.aws import Inbox, aws, client, end, executions, make_pipeline
from tests.dags.running import airflow, metadata, running, say, scratch, states, switch_on, wait_until
from tests.dags.shop import fill, last_three_days, run_straight

PIPELINE = "recommender-training"
LATE = '''
"""A run that is late: told of after two seconds, given up after twelve."""
import time
from datetime import timedelta

import recommender_settings as settings
from airflow.sdk import dag, task


@dag(schedule=None, start_date=settings.START, **settings.in_time(timedelta(seconds=2), timedelta(seconds=12)))
def late():
    @task
    def sleep():
        time.sleep(120)

    sleep()


late()
'''


@dataclass(frozen=True)
class Schedule:
    """A running Airflow, the folder of its warehouse, three days it has not run, and the inbox of its alerts."""

    environment: dict[str, str]
    warehouse: Path
    days: list[date]
    straight: dict[str, str]
    inbox: Inbox

    def run(self, dag_id: str, **conf: str) -> str:
        """Trigger a run; its id."""
        run_id = f"by_hand_{len(states(self.environment, dag_id))}"
        airflow(self.environment, "dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps(conf))
        return run_id

    def state(self, dag_id: str, run_id: str) -> str:
        query = "select state from dag_run where dag_id = ? and run_id = ?"
        return str(metadata(self.environment, query, dag_id, run_id)[0][0])

    def until(self, dag_id: str, run_id: str, wanted: str) -> None:
        wait_until(lambda: self.state(dag_id, run_id) in ("success", "failed"), f"{run_id} of {dag_id}")
        assert self.state(dag_id, run_id) == wanted

    def until_told(self, *words: str) -> str:
        def found() -> list[str]:
            return [text for text in self.inbox.messages() if all(word in text for word in words)]

        wait_until(lambda: bool(found()), f"a message with {words}")
        say(found()[0])
        return found()[0]


@pytest.fixture(scope="module")
def schedule(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schedule]:
    from warehouse.connect import open_local
    from warehouse.export.parts import fingerprints

    folder = tmp_path_factory.mktemp("schedule")
    days = last_three_days(datetime.now(UTC))
    with open_local(folder / "warehouse") as warehouse:
        fill(warehouse.connection, days)
    shutil.copytree(folder / "warehouse", folder / "straight")
    with open_local(folder / "straight") as warehouse:
        run_straight(warehouse.connection, days, folder / "nothing-landed")
        straight = fingerprints(warehouse.connection)
    with aws() as cloud:
        client("s3").create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        make_pipeline(PIPELINE)
        inbox = Inbox()
        environment = {
            **scratch(folder / "home"),
            **cloud,
            "WAREHOUSE_DATABASE": str(folder / "warehouse"),
            "WAREHOUSE_LANDING": str(folder / "nothing-landed"),
            "WAREHOUSE_EXPORTS": "s3://shop/exports",
            "WAREHOUSE_ERASURES": "s3://shop/erasures",
            "WAREHOUSE_RETRY_SECONDS": "1",
            "TRAINING_PIPELINE_NAME": PIPELINE,
            "TRAINING_POKE_SECONDS": "2",
            "ALERT_TOPIC": inbox.topic,
        }
        (Path(environment["AIRFLOW__CORE__DAGS_FOLDER"]) / "late.py").write_text(LATE)
        dags = ("backfill", "train_models", "late")
        with running(environment, folder, *dags, triggerer=True):
            yield Schedule(environment, folder / "warehouse", days, straight, inbox)


def test_a_backfill_equals_its_nights_and_starts_one_training_on_its_exports(schedule: Schedule) -> None:
    run_id = schedule.run("backfill", first=str(schedule.days[0]), last=str(schedule.days[-1]))
    schedule.until("backfill", run_id, "success")
    assert fingerprints_of(schedule) == schedule.straight

    (training,) = started(schedule, 1)
    assert waits_without_a_worker(schedule)
    end(training, "Succeeded")
    ((trained, _),) = runs_of_training(schedule)
    schedule.until("train_models", trained, "success")
    today = datetime.now(UTC).date()
    parameters = client("sagemaker").list_pipeline_parameters_for_execution(PipelineExecutionArn=training)
    assert parameters["PipelineParameters"] == [{"Name": "ExportsUri", "Value": f"s3://shop/exports/{today}"}]
    assert client("s3").head_object(Bucket="shop", Key=f"exports/{today}/manifest.json")

    assert tries_of_start(schedule) == 2  # the answer to the first was lost
    assert executions(PIPELINE) == [training]


def test_a_training_that_is_stopped_fails_its_run_and_is_told_of(schedule: Schedule) -> None:
    run_id = schedule.run("train_models")
    training = started(schedule, 2)[-1]
    end(training, "Stopped")

    schedule.until("train_models", run_id, "failed")

    assert schedule.until_told("failed", "dag train_models", "task wait", run_id)


def test_a_run_that_is_late_is_told_of(schedule: Schedule) -> None:
    run_id = schedule.run("late")

    if not version("apache-airflow").startswith("3.0."):  # which has no deadlines
        assert schedule.until_told("late: dag late", run_id, "not done 0:00:02 after it was queued")
    assert schedule.until_told("late: dag late", run_id, "given up after 0:00:12")


def test_a_shopper_who_asks_in_a_file_on_s3_is_gone_and_named_nowhere(schedule: Schedule) -> None:
    shopper = some_shopper(schedule)
    client("s3").put_object(Bucket="shop", Key="erasures/today.txt", Body=f"{shopper}\n".encode())
    switch_on(schedule.environment, "erasures")  # which makes the run of the hour that is over

    wait_until(lambda: "success" in states(schedule.environment, "erasures"), "a run of erasures")

    assert shopper not in shoppers(schedule)
    logs = Path(schedule.environment["AIRFLOW_HOME"], "logs").rglob("*.log")
    assert not [path.name for path in logs if shopper in path.read_text(errors="replace")]


def test_a_day_that_a_check_stops_is_undone_told_of_and_not_tried_again(schedule: Schedule) -> None:
    before = fingerprints_of(schedule)
    day = schedule.days[-1]
    deliver_orders_of_nobody(schedule, day)

    run_id = schedule.run("backfill", first=str(day), last=str(day))
    schedule.until("backfill", run_id, "failed")

    assert schedule.until_told("failed", "dag backfill", "task run_range", run_id)
    assert tries(schedule, "backfill", "run_range", run_id) == 1
    assert fingerprints_of(schedule) == before


def deliver_orders_of_nobody(schedule: Schedule, day: date) -> None:
    """Order lines without a shopper: more than the check `purchase_keys` lets pass."""
    import polars as pl

    from warehouse.connect import open_local
    from warehouse.raw.raw_append import append

    loaded_at = datetime(day.year, day.month, day.day, 5)
    lines = pl.DataFrame({"order_id": [f"nobody-{number}" for number in range(9)]}).with_columns(
        pl.lit("i00001").alias("item_id"),
        pl.lit(None, pl.String).alias("shopper_id"),
        pl.lit(loaded_at, pl.Datetime("us")).alias("purchased_at"),
        pl.lit(1).alias("quantity"),
        pl.lit(100).alias("price_cents"),
    )
    with open_local(schedule.warehouse) as warehouse:
        append(warehouse.connection, "purchases", lines, load_id="nobody", loaded_at=loaded_at)


def tries(schedule: Schedule, dag_id: str, task_id: str, run_id: str) -> int:
    query = "select try_number from task_instance where dag_id = ? and task_id = ? and run_id = ?"
    return int(metadata(schedule.environment, query, dag_id, task_id, run_id)[0][0])


def fingerprints_of(schedule: Schedule) -> dict[str, str]:
    from warehouse.connect import open_local
    from warehouse.export.parts import fingerprints

    with open_local(schedule.warehouse) as warehouse:
        return fingerprints(warehouse.connection)


def shoppers(schedule: Schedule) -> list[str]:
    from warehouse.connect import open_local
    from warehouse.engine.statements import execute

    query = "select shopper_id from raw.purchases union select shopper_id from marts.order_lines order by 1"
    with open_local(schedule.warehouse) as warehouse:
        return [shopper for (shopper,) in execute(warehouse.connection, query)]


def some_shopper(schedule: Schedule) -> str:
    return shoppers(schedule)[0]


def started(schedule: Schedule, count: int) -> list[str]:
    """The executions of the pipeline, once there are this many."""
    wait_until(lambda: len(executions(PIPELINE)) == count, f"start {count} of the pipeline")
    return executions(PIPELINE)


def waits_without_a_worker(schedule: Schedule) -> bool:
    query = "select 1 from task_instance where dag_id = ? and task_id = 'wait' and state = 'up_for_reschedule'"
    wait_until(lambda: bool(metadata(schedule.environment, query, "train_models")), "the sensor to let go")
    return True


def runs_of_training(schedule: Schedule) -> list[tuple[Any, ...]]:
    return metadata(schedule.environment, "select run_id, state from dag_run where dag_id = ?", "train_models")


def tries_of_start(schedule: Schedule) -> int:
    query = "select max(try_number) from task_instance where dag_id = ? and task_id = 'start' and state = 'success'"
    return int(metadata(schedule.environment, query, "train_models")[0][0] or 0)
