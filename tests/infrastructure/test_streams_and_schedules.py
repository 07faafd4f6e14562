"""What starts without a request: the stream's consumers, the reallocation, the training."""

from __future__ import annotations

import json
from typing import Any

from tests.infrastructure.conftest import Synthesis, synthesise


def consumers(synthesis: Synthesis) -> dict[str, dict[str, Any]]:
    functions = synthesis.resources("AWS::Lambda::Function")
    return {
        functions[mapping["FunctionName"]["Ref"]]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]: mapping
        for mapping in synthesis.resources("AWS::Lambda::EventSourceMapping").values()
    }


def test_both_consumers_read_the_stream_from_its_start_in_order_and_in_whole_batches(dev: Synthesis) -> None:
    assert set(consumers(dev)) == {"count_outcomes", "deliver_events"}  # a stream serves two readers well, not three
    for mapping in consumers(dev).values():
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert mapping["ParallelizationFactor"] == 1
        assert mapping["BisectBatchOnFunctionError"] is False
        (pattern,) = mapping["FilterCriteria"]["Filters"]
        assert json.loads(pattern["Pattern"]) == {"eventName": ["INSERT", "MODIFY"]}


def test_the_counter_is_told_its_shard(dev: Synthesis) -> None:
    assert consumers(dev)["count_outcomes"]["TumblingWindowInSeconds"] == 60
    assert "TumblingWindowInSeconds" not in consumers(dev)["deliver_events"]


def test_what_cannot_be_consumed_stops_after_bounded_retries_on_a_watched_queue(dev: Synthesis) -> None:
    queues = dev.resources("AWS::SQS::Queue")
    watched = {
        dimension["Value"]["Fn::GetAtt"][0]
        for alarm in dev.resources("AWS::CloudWatch::Alarm").values()
        if alarm.get("Namespace") == "AWS/SQS"
        for dimension in alarm["Dimensions"]
    }
    for mapping in consumers(dev).values():
        queue = mapping["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]
        assert 0 < mapping["MaximumRetryAttempts"] <= 100
        assert mapping["MaximumRecordAgeInSeconds"] < 24 * 3600
        assert queues[queue]["SqsManagedSseEnabled"] is True
        assert queue in watched


def test_the_reallocation_runs_once_an_epoch(dev: Synthesis) -> None:
    (schedule,) = dev.resources("AWS::Scheduler::Schedule", "experiment").values()
    assert schedule["ScheduleExpression"] == "rate(1 hour)"


def test_training_starts_daily_and_weekly_by_the_name_of_its_pipeline(dev: Synthesis) -> None:
    schedules = dev.resources("AWS::Scheduler::Schedule", "training").values()
    assert {schedule["ScheduleExpression"] for schedule in schedules} == {
        "cron(0 4 ? * MON-SAT *)",
        "cron(0 4 ? * SUN *)",
    }
    for schedule in schedules:
        assert schedule["State"] == "ENABLED"
        assert schedule["Target"]["Arn"]["Fn::Join"][1][-1] == ":pipeline/recommender-dev-training"


def test_where_airflow_starts_the_training_the_schedules_stay_off(tmp_path_factory: Any) -> None:
    synthesis = synthesise(tmp_path_factory.mktemp("airflow"), training_starter="airflow")
    schedules = synthesis.resources("AWS::Scheduler::Schedule", "training").values()
    assert {schedule["State"] for schedule in schedules} == {"DISABLED"}
