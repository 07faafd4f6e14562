"""Every hour: shoppers with an erasure request leave raw, staging and marts, and so the next exports.

Requests are files, because parameters and logs of a run stay in Airflow's database: only counts pass through
here. A file is taken once; rows that come late are dropped by the daily run. Settings: `recommender_settings`.

Decisions: docs/decisions/schedule.md (165).
"""

from __future__ import annotations

import os
from datetime import timedelta

import recommender_settings as settings
from airflow.sdk import dag, task
from recommender_session import opened


@dag(
    schedule="30 * * * *",
    start_date=settings.START,
    catchup=False,
    max_active_runs=1,
    default_args=settings.DEFAULTS,
    tags=["recommender", "warehouse", "privacy"],
    doc_md=__doc__,
    **settings.in_time(timedelta(hours=6), timedelta(hours=12)),
)
def erasures() -> None:
    """One task."""

    @task.skip_if(lambda context: not os.environ.get("WAREHOUSE_ERASURES"))
    @task(outlets=[settings.MARTS])
    def answer_requests() -> int:
        from warehouse.day.schedule import answer_requests

        source, now = os.environ["WAREHOUSE_ERASURES"], settings.moment()
        with opened() as warehouse:
            s3 = settings.client("s3", source)
            return answer_requests(warehouse.connection, source, now=now, holder=settings.holder(), s3=s3)

    answer_requests()


erasures()
