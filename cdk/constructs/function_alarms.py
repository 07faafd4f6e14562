"""The alarms of one function, derived from what starts it, how often, and which metrics it emits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import aws_cdk as core
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct
from recommender.contracts.metrics import (
    BUNDLE_REFUSED,
    DEGRADED,
    EMITTED_BY,
    EPOCHS_OPENED,
    EVENTS_REJECTED,
    EVENTS_UNCREDITED,
    NAMESPACE,
    OVERRIDES_SKIPPED,
    UNKNOWN_ANCHORS,
)
from recommender.contracts.routes import ROUTES, Auth, Function

from cdk.constructs.alarms import event_alarm, level_alarm, period, share_alarm, silence_alarm
from cdk.deployment import AlarmNumbers
from cdk.stores import Stores

QUIET_RUNS: Final = 3  # a rate drifts against the clock: one period without a run is no fault, three are
# scheduled function -> metric that it emits at the end of every run that went well, whatever its value
FINISHED: Final[Mapping[str, str]] = {"reallocate_traffic": EPOCHS_OPENED}


def watch_function(
    scope: Construct, function: lambda_.Function, definition: Function, *, limits: AlarmNumbers, stores: Stores
) -> None:
    """Errors and throttles in the shape that fits the function's rate, then the metrics that it emits itself."""
    errors, throttles = function.metric_errors(period=period()), function.metric_throttles(period=period())
    if is_seldom(definition):  # a single failure is all there will be for an hour or a day
        event_alarm(scope, "Errors", errors, stores=stores)
        event_alarm(scope, "Throttles", throttles, stores=stores)
    else:
        level_alarm(scope, "Errors", errors, above=_ERRORS_ABOVE[definition.trigger](limits), stores=stores)
        level_alarm(scope, "Throttles", throttles, above=limits.throttles, stores=stores)
    shares = {
        DEGRADED: limits.degraded_percent,
        UNKNOWN_ANCHORS: limits.unknown_anchors_percent,
        EVENTS_REJECTED: limits.events_rejected_percent,
        EVENTS_UNCREDITED: limits.events_uncredited_percent,
    }
    at_once = {BUNDLE_REFUSED: limits.bundles_refused, OVERRIDES_SKIPPED: limits.overrides_skipped}
    for name in EMITTED_BY[definition.name]:
        metric = own_metric(definition, name, statistic="Sum", every=period())
        if name in shares:
            share_alarm(scope, name, metric, above_percent=shares[name], stores=stores)
        elif name in at_once:
            event_alarm(scope, name, metric, above=at_once[name], stores=stores)


def watch_schedule(
    scope: Construct, function: lambda_.Function, definition: Function, *, every: core.Duration, stores: Stores
) -> None:
    """A scheduled function that is never started, and one whose runs never end well: neither makes an error's count."""
    started = function.metric_invocations(period=every)
    silence_alarm(scope, "NotStarted", started, periods=QUIET_RUNS, stores=stores)
    finished = own_metric(definition, FINISHED[definition.name], statistic="SampleCount", every=every)
    silence_alarm(scope, "NotFinished", finished, periods=QUIET_RUNS, stores=stores)


def is_seldom(definition: Function) -> bool:
    """True for a function that starts so rarely that two bad periods of three cannot be expected of any fault."""
    return _SELDOM[definition.trigger](definition)


def own_metric(definition: Function, name: str, *, statistic: str, every: core.Duration) -> cloudwatch.Metric:
    """A metric that the function's own code emits."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"service": definition.name},
        statistic=statistic,
        period=every,
    )


def _serves_administrators_only(definition: Function) -> bool:
    return all(route.auth is Auth.IAM for route in ROUTES if route.function == definition.name)


_SELDOM: Final[Mapping[str, Callable[[Function], bool]]] = {
    "schedule": lambda _: True,
    "stream": lambda _: False,  # a failing batch is tried again, up to 20 times
    "http": _serves_administrators_only,
}
_ERRORS_ABOVE: Final[Mapping[str, Callable[[AlarmNumbers], float]]] = {
    "stream": lambda _: 0,  # retries heal one failure; failures in two of three periods are a batch that stands still
    "http": lambda limits: limits.function_errors,
}
