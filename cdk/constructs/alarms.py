"""Alarms in four shapes, by what is watched; each is sent to the deployment's topic.

event     something that must not happen once: one data point is enough, for a nightly failure leaves no second one
level     a load that is too high for a while: two of three periods
share     part of the traffic: two of three periods, and only where there is enough traffic
silence   something that must happen: no data is the fault that is watched for

Decisions: docs/decisions/cdk.md (220).
"""

from __future__ import annotations

import aws_cdk as core
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from cdk.stores import Stores

PERIOD_MINUTES = 5
ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


def period() -> core.Duration:
    """The period of every alarm that is not about silence."""
    return core.Duration.minutes(PERIOD_MINUTES)


def event_alarm(
    scope: Construct, construct_id: str, metric: cloudwatch.IMetric, *, stores: Stores, above: float = 0
) -> cloudwatch.Alarm:
    """Fires at the first period in which the metric exceeds `above`; no data is good."""
    return _alarm(scope, construct_id, metric, threshold=above, of=(1, 1), stores=stores)


def level_alarm(
    scope: Construct, construct_id: str, metric: cloudwatch.IMetric, *, above: float, stores: Stores
) -> cloudwatch.Alarm:
    """Fires when the metric exceeds `above` in two of three periods; no data is good."""
    return _alarm(scope, construct_id, metric, threshold=above, of=(2, 3), stores=stores)


def share_alarm(
    scope: Construct, construct_id: str, metric: cloudwatch.Metric, *, above_percent: int, stores: Stores
) -> cloudwatch.Alarm:
    """Fires when more than `above_percent` of the metric's values are 1 or more, in two of three periods.

    The metric has a value a call, 0 where all was well: its percentile is above 0 exactly then. CloudWatch leaves the
    alarm as it is where there are too few values: fewer than 20 for 50 %, fewer than 100 for 10 %.
    """
    percentile = metric.with_(statistic=f"p{100 - above_percent}")
    return _alarm(scope, construct_id, percentile, threshold=0.5, of=(2, 3), stores=stores, few="ignore")


def silence_alarm(
    scope: Construct, construct_id: str, metric: cloudwatch.IMetric, *, periods: int, stores: Stores
) -> cloudwatch.Alarm:
    """Fires when the metric stayed below 1 for `periods` periods; no data is bad: it is the silence watched for."""
    return _alarm(
        scope,
        construct_id,
        metric,
        threshold=1,
        of=(periods, periods),
        stores=stores,
        comparison=BELOW,
        missing=cloudwatch.TreatMissingData.BREACHING,
    )


def _alarm(
    scope: Construct,
    construct_id: str,
    metric: cloudwatch.IMetric,
    *,
    threshold: float,
    of: tuple[int, int],
    stores: Stores,
    comparison: cloudwatch.ComparisonOperator = ABOVE,
    missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    few: str | None = None,
) -> cloudwatch.Alarm:
    """An alarm that calls when `of[0]` of the last `of[1]` periods compare so with the threshold."""
    made = cloudwatch.Alarm(
        scope,
        f"{construct_id}Alarm",
        metric=metric,
        threshold=threshold,
        comparison_operator=comparison,
        datapoints_to_alarm=of[0],
        evaluation_periods=of[1],
        treat_missing_data=missing,
        evaluate_low_sample_count_percentile=few,
    )
    made.add_alarm_action(actions.SnsAction(stores.alarm_topic))
    return made
