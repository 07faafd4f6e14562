"""The alarms of one function, derived from what starts it, how often, and which metrics it emits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import aws_cdk as core
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct
from recommender.contracts.metrics import NAMESPACE, Metric, Shape, emitted_by
from recommender.contracts.routes import ROUTES, Auth, Function

from cdk.constructs.alarms import event_alarm, level_alarm, period, share_alarm, silence_alarm
from cdk.deployment import AlarmNumbers
from cdk.stores import Stores

QUIET_RUNS: Final = 3  # a rate drifts against the clock: one period without a run is no fault, three are


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
    for name, entry in emitted_by(definition.name).items():
        metric = own_metric(definition, name, statistic="Sum", every=period())
        _ALARMS[entry.shape](scope, name, metric, limits, entry, stores)


def watch_schedule(
    scope: Construct, function: lambda_.Function, definition: Function, *, every: core.Duration, stores: Stores
) -> None:
    """A scheduled function that is never started, and one whose runs never end well: neither makes an error's count."""
    started = function.metric_invocations(period=every)
    silence_alarm(scope, "NotStarted", started, periods=QUIET_RUNS, stores=stores)
    finished = own_metric(definition, finished_by(definition.name), statistic="SampleCount", every=every)
    silence_alarm(scope, "NotFinished", finished, periods=QUIET_RUNS, stores=stores)


def finished_by(function: str) -> str:
    """Return the metric whose values are the runs of a scheduled function that went well."""
    (name,) = (name for name, metric in emitted_by(function).items() if metric.shape is Shape.SILENCE)
    return name


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


def _watch_share(
    scope: Construct, name: str, metric: cloudwatch.Metric, limits: AlarmNumbers, entry: Metric, stores: Stores
) -> None:
    share_alarm(scope, name, metric, above_percent=getattr(limits, entry.limit), stores=stores)


def _watch_event(
    scope: Construct, name: str, metric: cloudwatch.Metric, limits: AlarmNumbers, entry: Metric, stores: Stores
) -> None:
    event_alarm(scope, name, metric, above=getattr(limits, entry.limit), stores=stores)


def _watch_nothing(*_: object) -> None:
    """Make no alarm here: the reason stands in the table, or `watch_schedule` watches for silence."""


_ALARMS: Final[Mapping[Shape | None, Callable[..., None]]] = {
    Shape.SHARE: _watch_share,
    Shape.EVENT: _watch_event,
    Shape.SILENCE: _watch_nothing,
    None: _watch_nothing,
}
_SELDOM: Final[Mapping[str, Callable[[Function], bool]]] = {
    "schedule": lambda _: True,
    "stream": lambda _: False,  # a failing batch is tried again, up to 20 times
    "http": _serves_administrators_only,
}
_ERRORS_ABOVE: Final[Mapping[str, Callable[[AlarmNumbers], float]]] = {
    "stream": lambda _: 0,  # retries heal one failure; failures in two of three periods are a batch that stands still
    "http": lambda limits: limits.function_errors,
}
