"""By hand: run a range of days again, or for the first time, oldest first, then write the exports.

A range run at once equals its daily runs; a piece of it is one transaction, so what is done stays where a
later piece fails, and a retry starts from the first day again without changing it. Settings: `recommender_settings`.
"""

from __future__ import annotations

from datetime import timedelta

import recommender_settings as settings
from airflow.sdk import Param, dag, get_current_context, task
from recommender_session import opened


@dag(
    schedule=None,
    start_date=settings.START,
    catchup=False,
    max_active_runs=1,
    default_args=settings.DEFAULTS,
    params={
        "first": Param(type="string", format="date", description="first day, YYYY-MM-DD", default="2026-01-01"),
        "last": Param(type="string", format="date", description="last day, included", default="2026-01-01"),
    },
    tags=["recommender", "warehouse"],
    doc_md=__doc__,
    **settings.in_time(timedelta(hours=12), timedelta(hours=24)),
)
def backfill() -> None:
    """run_range -> export."""

    @task(outlets=[settings.MARTS], execution_timeout=timedelta(hours=8))
    def run_range() -> list[str]:
        from warehouse.day.schedule import run_backfill

        params = get_current_context()["params"]
        with opened() as warehouse:
            return run_backfill(warehouse.connection, params["first"], params["last"], holder=settings.holder())

    @task(outlets=[settings.EXPORTS])
    def export() -> dict[str, str]:
        with opened() as warehouse:
            return settings.export(warehouse)

    run_range() >> export()


backfill()
