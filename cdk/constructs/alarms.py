"""Alarms: one shape, silent where there is no data, sent to the deployment's topic."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from cdk.stores import Stores


def alarm(
    scope: Construct, construct_id: str, metric: cloudwatch.IMetric, *, above: float, stores: Stores
) -> cloudwatch.Alarm:
    """Rings when the metric exceeds `above` in two of three periods; no data is good."""
    made = cloudwatch.Alarm(
        scope,
        f"{construct_id}Alarm",
        metric=metric,
        threshold=above,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluation_periods=3,
        datapoints_to_alarm=2,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    made.add_alarm_action(actions.SnsAction(stores.alarm_topic))
    return made


def silence_alarm(
    scope: Construct, construct_id: str, metric: cloudwatch.IMetric, *, periods: int, stores: Stores
) -> cloudwatch.Alarm:
    """Rings when the metric stayed below 1 for `periods` periods; no data is bad: it is the silence watched for."""
    made = cloudwatch.Alarm(
        scope,
        f"{construct_id}Alarm",
        metric=metric,
        threshold=1,
        comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        evaluation_periods=periods,
        treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
    )
    made.add_alarm_action(actions.SnsAction(stores.alarm_topic))
    return made
