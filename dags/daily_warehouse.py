"""Every night: what has landed goes into raw, the day is run and reported, the exports are written.

`train_models` follows the exports. The report is written where a check stopped the day, too: then it is needed most.
Each task calls one function of `warehouse` and may be run again: a file is loaded once, a day is one
transaction of merges, the exports of a day replace each other whole. Settings: `recommender_settings`.

Decisions: docs/decisions/schedule.md (168).
"""

from __future__ import annotations

import os
from datetime import timedelta

import recommender_settings as settings
from airflow.sdk import Param, dag, task
from airflow.timetables.interval import CronDataIntervalTimetable
from recommender_session import opened


@dag(
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    max_active_runs=1,
    default_args=settings.DEFAULTS,
    params={"full": Param(False, type="boolean", description="write every month of the exports anew")},
    tags=["recommender", "warehouse"],
    doc_md=__doc__,
    **settings.NIGHTLY,
    **settings.in_time(timedelta(hours=3), timedelta(hours=8)),
)
def daily_warehouse() -> None:
    """load_landed -> run_day -> export and report, one day after the other."""

    @task
    def load_landed() -> int:
        from warehouse.day.schedule import load_landed

        with opened() as warehouse:
            landing = os.environ["WAREHOUSE_LANDING"]
            return load_landed(warehouse.connection, landing, loaded_at=settings.moment())

    @task(outlets=[settings.MARTS])
    def run_day() -> list[str]:
        from warehouse.day.day import run_day

        with opened() as warehouse:
            return list(run_day(warehouse.connection, settings.day(), holder=settings.holder()).warnings)

    @task(outlets=[settings.EXPORTS])
    def export() -> dict[str, str]:
        with opened() as warehouse:
            return settings.export(warehouse)

    @task(trigger_rule="all_done")
    def report() -> str:
        from warehouse.day.schedule import publish_quality

        target = settings.below_exports(f"quality/{settings.day()}")
        with opened() as warehouse:
            s3 = settings.client("s3", target)
            return publish_quality(warehouse.connection, target, day=settings.day(), s3=s3)

    load_landed() >> run_day() >> [export(), report()]


daily_warehouse()
