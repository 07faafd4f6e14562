"""A consumer of the session stream: in order, bounded retries, and what could not be done on a queue.

Decisions: docs/decisions/cdk.md (083).
"""

from __future__ import annotations

import aws_cdk as core
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct
from recommender.contracts.tables import SESSIONS

from cdk.constructs.alarms import event_alarm, level_alarm, period
from cdk.constructs.python_function import PythonFunction
from cdk.deployment import AlarmNumbers, StreamNumbers
from cdk.stores import Stores


class StreamConsumer(Construct):
    """Feeds one function. A failing batch is never cut in two: its boundaries are what makes a retry harmless."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: PythonFunction,
        numbers: StreamNumbers,
        limits: AlarmNumbers,
        stores: Stores,
        names_its_shard: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self.lost = sqs.Queue(
            self,
            "Lost",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=core.Duration.days(14),
        )
        consumer.function.add_event_source(
            sources.DynamoEventSource(
                stores.tables[SESSIONS.name],
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=numbers.batch_size,
                max_batching_window=core.Duration.seconds(numbers.batching_window_seconds),
                # With a window, Lambda puts the shard's id into the event; one invocation a shard keeps the order.
                tumbling_window=core.Duration.seconds(numbers.tumbling_window_seconds) if names_its_shard else None,
                parallelization_factor=1,
                bisect_batch_on_error=False,
                retry_attempts=numbers.retry_attempts,
                max_record_age=core.Duration.hours(numbers.record_age_hours),
                on_failure=sources.SqsDlq(self.lost),
                # Expiry of a session removes its item; nobody counts that.
                filters=[lambda_.FilterCriteria.filter({"eventName": ["INSERT", "MODIFY"]})],
            )
        )
        self._watch(consumer, limits, stores)

    def _watch(self, consumer: PythonFunction, limits: AlarmNumbers, stores: Stores) -> None:
        age_ms = consumer.function.metric("IteratorAge", statistic="Maximum", period=period())
        level_alarm(self, "IteratorAge", age_ms, above=limits.iterator_age_seconds * 1000, stores=stores)
        lost = self.lost.metric_approximate_number_of_messages_visible(period=period(), statistic="Maximum")
        event_alarm(self, "Lost", lost, stores=stores)
