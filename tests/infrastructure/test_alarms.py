"""Who is called, and by what: each fault of a list is replayed and must ring, and whoever rings must be let through."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
from recommender.contracts import metrics as contract
from recommender.contracts.metrics import METRICS, NAMESPACE, Metric, Shape, emitted_by
from recommender.contracts.routes import FUNCTIONS

from cdk.constructs.function_alarms import finished_by
from cdk.deployment import ROOT
from local.aws.engine import Engine
from tests.infrastructure.alarms import Alarm, Slots, alarms_of
from tests.infrastructure.conftest import Synthesis

CLOUDWATCH = "cloudwatch.amazonaws.com"
ACCOUNT, TOPIC = "000000000000", "arn:aws:sns:us-east-1:000000000000:alarms"
TABLE = "layers/recommender/python/recommender/contracts/metrics.py"
HOUR, DAY = 12, 288  # slots of five minutes


@pytest.fixture(params=["dev", "prod"])
def synthesis(request: pytest.FixtureRequest) -> Synthesis:
    found: Synthesis = request.getfixturevalue(request.param)
    return found


def alarms(synthesis: Synthesis) -> list[Alarm]:
    return alarms_of(synthesis.resources("AWS::CloudWatch::Alarm"))


# Who is let through.


def test_the_topic_of_every_alarm_lets_cloudwatch_publish(synthesis: Synthesis) -> None:
    topics, policies = synthesis.resources("AWS::SNS::Topic"), topic_policies(synthesis)
    for alarm in alarms(synthesis):
        assert alarm.properties["AlarmActions"], f"{alarm.name} calls nobody"
        for action in alarm.properties["AlarmActions"]:
            topic = topic_of(action)
            assert decision(policies[topic], account=ACCOUNT) == "Allow", f"{alarm.name} cannot publish to {topic}"
            assert key_lets_cloudwatch(topics[topic], synthesis.resources("AWS::KMS::Key")), topic


def test_an_alarm_of_another_account_and_plain_http_are_not_let_through(synthesis: Synthesis) -> None:
    (policy,) = topic_policies(synthesis).values()
    assert decision(policy, account="999999999999") == "ImplicitDeny"
    assert decision(policy, account=ACCOUNT, is_secure=False) == "Deny"


def test_the_walk_finds_a_topic_that_lets_nobody_publish_and_a_key_that_lets_nobody_encrypt() -> None:
    only_deny = [{"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": TOPIC}]
    assert decision({"Statement": only_deny}, account=ACCOUNT) == "Deny"
    encrypted = {"KmsMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}
    statement = {"Effect": "Allow", "Principal": {"Service": CLOUDWATCH}, "Resource": "*"}
    allowed = {**statement, "Action": ["kms:Decrypt", "kms:GenerateDataKey*"]}
    decrypts = {**statement, "Action": ["kms:Decrypt"]}
    assert key_lets_cloudwatch(encrypted, {"Key": {"KeyPolicy": {"Statement": [allowed]}}})
    assert not key_lets_cloudwatch(encrypted, {"Key": {"KeyPolicy": {"Statement": [decrypts]}}})
    assert not key_lets_cloudwatch({"KmsMasterKeyId": "alias/aws/sns"}, {})  # AWS's own key lets no service in


def test_an_alarm_that_rings_is_a_message_in_a_subscribed_queue(dev: Synthesis, messages: Messages) -> None:
    """Against the embedded AWS, which delivers; it does not ask the topic's policy (its evaluator does, above)."""
    for alarm in alarms(dev):
        messages.ring(alarm)
        told = messages.next()
        assert (told["AlarmName"], told["NewStateValue"]) == (alarm.name, "ALARM")


# What rings.

ONCE: Slots = [*[[]] * HOUR, [1.0], *[[]] * HOUR]
NEVER: Slots = [[]] * DAY


def hourly(*values: float) -> Slots:
    """The values in one slot of each hour of a day."""
    return ([list(values)] + [[]] * (HOUR - 1)) * 24


def always(slots: int, *values: float) -> Slots:
    return [list(values)] * slots


# fault -> (start of the logical ids of the alarms that may ring, what happens)
FAULTS: Mapping[str, tuple[str, Mapping[str, Slots]]] = {
    "one failed training a night": ("PipelineFailed", {"ExecutionFailed": ONCE}),
    "every training failing, one an hour": ("PipelineFailed", {"ExecutionFailed": hourly(1)}),
    "no training that succeeded for two days": ("Stale", {"ExecutionSucceeded": NEVER * 2}),
    "one failed reallocation": ("ReallocateTraffic", {"Errors": ONCE, "Invocations": ONCE}),
    "every reallocation of a day failing": (
        "ReallocateTraffic",
        {"Errors": hourly(1, 1, 1), "Invocations": hourly(1, 1, 1), "EpochsOpened": NEVER},
    ),
    "every reallocation of a day throttled": ("ReallocateTraffic", {"Throttles": hourly(1), "Invocations": NEVER}),
    "a reallocation that is never started": ("ReallocateTraffic", {"Invocations": NEVER, "EpochsOpened": NEVER}),
    "reallocations that start and never end well": (
        "ReallocateTrafficNotFinished",
        {"Invocations": hourly(1), "EpochsOpened": NEVER},
    ),
    "one failed call of an administrator": ("ManageExperiments", {"Errors": ONCE}),
    "errors of every page": ("Recommend", {"Errors": always(HOUR, *[1] * 25), "Invocations": always(HOUR, *[1] * 25)}),
    "errors of every event": ("CollectEvents", {"Errors": always(HOUR, *[1] * 25)}),
    "errors of every assignment": ("AssignVariant", {"Errors": always(HOUR, *[1] * 25)}),
    "a batch that cannot be counted": ("CountOutcomes", {"Errors": always(HOUR, 1)}),
    "a batch that cannot be delivered": ("DeliverEvents", {"Errors": always(HOUR, 1)}),
    "a call of an administrator that was throttled": ("ManageExperiments", {"Throttles": ONCE}),
    **{
        f"{name} throttled again and again": (name, {"Throttles": always(HOUR, *[1] * 11)})
        for name in ("Recommend", "AssignVariant", "CollectEvents", "CountOutcomes", "DeliverEvents")
    },
    "one lost batch of the counter": ("CountOutcomes", {"ApproximateNumberOfMessagesVisible": ONCE}),
    "one lost batch of the landing": ("DeliverEvents", {"ApproximateNumberOfMessagesVisible": ONCE}),
    "a stream that is read too late": ("CountOutcomes", {"IteratorAge": always(HOUR, 601_000)}),
    "a landing that is late": ("DeliverEvents", {"IteratorAge": always(HOUR, 601_000)}),
    "one refused bundle": ("Recommend", {"BundleRefused": ONCE}),
    "more than half of a few pages degraded": ("Recommend", {"Degraded": always(HOUR, *[1] * 60, *[0] * 50)}),
    "most assignments degraded": ("AssignVariant", {"Degraded": always(HOUR, *[1] * 90, *[0] * 20)}),
    "some events of every call of a broken shop refused": (
        "CollectEvents",
        {"EventsRejected": always(HOUR, *[3] * 20)},
    ),
    "every event of a shop uncredited": (
        "CollectEvents",
        {"EventsUncredited": always(HOUR, *[3] * 20)},
    ),
    "half of the pages about items newer than the bundle": (
        "Recommend",
        {"UnknownAnchors": always(HOUR, *[1] * 60, *[0] * 60)},
    ),
    "one row of the overrides that no reader understands": ("Recommend", {"OverridesSkipped": ONCE}),
    "a server error for every page": ("ApiServerErrors", {"5xx": always(HOUR, *[1] * 25)}),
}
PEACE: Mapping[str, tuple[str, Mapping[str, Slots]]] = {
    "nights that train": ("Stale", {"ExecutionSucceeded": [[1.0], *[[]] * (DAY - 1)] * 3}),
    "reallocations that drift over the hour": (
        "ReallocateTraffic",
        {"Invocations": hourly(1, 1)[:HOUR] + [[]] * HOUR + hourly(1), "EpochsOpened": hourly(0) + [[]] * (2 * HOUR)},
    ),
    "one page that failed": ("Recommend", {"Errors": ONCE, "Invocations": always(len(ONCE), *[1] * 1000)}),
    "one batch that a retry healed": ("CountOutcomes", {"Errors": ONCE}),
    "degraded answers of a cold start at night": ("Recommend", {"Degraded": always(HOUR, *[1] * 9)}),
    "a few degraded answers among many": ("Recommend", {"Degraded": always(HOUR, *[1] * 40, *[0] * 960)}),
    "an event refused now and then": ("CollectEvents", {"EventsRejected": always(HOUR, 1, *[0] * 24)}),
    "nobody in the shop": ("", dict.fromkeys(("Errors", "Degraded", "IteratorAge", "5xx"), NEVER[:HOUR])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_rings(synthesis: Synthesis, fault: str) -> None:
    start, happening = FAULTS[fault]
    assert [alarm.name for alarm in concerned(synthesis, start, happening) if alarm.rings(happening)]


@pytest.mark.parametrize("calm", PEACE)
def test_what_is_no_fault_does_not_ring(synthesis: Synthesis, calm: str) -> None:
    start, happening = PEACE[calm]
    asked = concerned(synthesis, start, happening)
    assert asked
    assert [alarm.name for alarm in asked if alarm.rings(happening)] == []


def test_every_alarm_rings_at_a_fault_of_the_list_in_each_environment(synthesis: Synthesis) -> None:
    """An alarm that no fault of the list concerns has a fault that nobody thought of, or can never ring."""
    rung = {
        alarm.name
        for start, happening in FAULTS.values()
        for alarm in concerned(synthesis, start, happening)
        if alarm.rings(happening)
    }
    assert {alarm.name for alarm in alarms(synthesis)} - rung == set()


def test_functions_that_seldom_run_call_at_the_first_error(synthesis: Synthesis) -> None:
    at_once = {
        alarm.name.partition("Errors")[0]
        for alarm in alarms(synthesis)
        if alarm.metric.name == "Errors"
        and (alarm.properties["Threshold"], alarm.properties["EvaluationPeriods"]) == (0, 1)
    }
    assert at_once == {"ReallocateTraffic", "ManageExperiments"}


def test_every_scheduled_function_is_missed_when_it_is_not_started_or_does_not_finish(synthesis: Synthesis) -> None:
    scheduled = {definition.name for definition in FUNCTIONS if definition.trigger == "schedule"}
    assert all(finished_by(name) for name in scheduled)
    missed = {alarm.name for alarm in alarms(synthesis) if alarm.properties["TreatMissingData"] == "breaching"}
    expected = {name.title().replace("_", "") + kind for name in scheduled for kind in ("NotStarted", "NotFinished")}
    assert {next(start for start in {*expected, "Stale"} if name.startswith(start)) for name in missed} == {
        *expected,
        "Stale",
    }


# What is watched.


def test_every_metric_that_the_code_emits_has_an_alarm_or_a_reason_for_none(synthesis: Synthesis) -> None:
    wanted = {(name, function) for name, metric in METRICS.items() if metric.shape for function in metric.emitted_by}
    watched = {
        (alarm.metric.name, dict(alarm.metric.dimensions)["service"])
        for alarm in alarms(synthesis)
        if alarm.metric.namespace == NAMESPACE
    }
    assert watched == wanted, f"{TABLE} and cdk/constructs/function_alarms.py disagree on what is watched"


def test_the_table_of_emitted_metrics_is_what_the_functions_emit() -> None:
    constants = {name: value for name, value in vars(contract).items() if name.isupper() and isinstance(value, str)}
    del constants["NAMESPACE"]
    assert set(constants.values()) == METRICS.keys(), f"give every metric of {TABLE} its constant"
    assert {name for metric in METRICS.values() for name in metric.emitted_by} <= {one.name for one in FUNCTIONS}
    for function in FUNCTIONS:
        source = ast.parse((ROOT / "functions" / function.name / "handler.py").read_text())
        used = {node.id for node in ast.walk(source) if isinstance(node, ast.Name)}
        used |= {node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute)}
        emitted = {constants[name] for name in used & constants.keys()}
        assert emitted == set(emitted_by(function.name)), f"functions/{function.name} and {TABLE} disagree"


def test_a_metric_has_an_alarm_or_a_reason_for_none_never_both_or_neither() -> None:
    for shape, limit, unwatched in (
        (None, "", ""),
        (Shape.EVENT, "bundles_refused", "no need"),
        (Shape.EVENT, "", ""),
        (None, "bundles_refused", "no need"),
    ):
        with pytest.raises(ValueError, match="alarm"):
            Metric("a count", ("recommend",), shape, limit, unwatched)


class Messages:
    """A queue subscribed to a topic that has the synthesised policy, in the embedded AWS."""

    def __init__(self, url: str, policy: Mapping[str, Any]) -> None:
        made = {"endpoint_url": url, "region_name": "us-east-1"}
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self._alarms = boto3.client("cloudwatch", **made, **keys)
        self._queues = boto3.client("sqs", **made, **keys)
        topics = boto3.client("sns", **made, **keys)
        self._topic = topics.create_topic(Name="alarms")["TopicArn"]
        text = json.dumps(resolved(policy, self._topic))
        topics.set_topic_attributes(TopicArn=self._topic, AttributeName="Policy", AttributeValue=text)
        self._queue = self._queues.create_queue(QueueName="on-call")["QueueUrl"]
        arn = self._queues.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        topics.subscribe(TopicArn=self._topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])

    def ring(self, alarm: Alarm) -> None:
        """Make the alarm as it is synthesised, and set it to ALARM."""
        properties = {**json.loads(json.dumps(alarm.properties)), "AlarmActions": [self._topic]}
        for dimension in properties.get("Dimensions", ()):
            dimension["Value"] = str(dimension["Value"])[:64]
        self._alarms.put_metric_alarm(AlarmName=alarm.name, **properties)
        self._alarms.set_alarm_state(AlarmName=alarm.name, StateValue="ALARM", StateReason="tried")

    def next(self) -> dict[str, Any]:
        """The next message; it is taken from the queue."""
        (message,) = self._queues.receive_message(QueueUrl=self._queue, WaitTimeSeconds=10)["Messages"]
        self._queues.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        told: dict[str, Any] = json.loads(json.loads(message["Body"])["Message"])
        return told


@pytest.fixture
def messages(dev: Synthesis, tmp_path: Path) -> Iterator[Messages]:
    engine = Engine(environment=os.environ, log=tmp_path / "engine.log", services="sns,sqs,cloudwatch,monitoring,sts")
    try:
        (policy,) = topic_policies(dev).values()
        yield Messages(engine.url, policy)
    finally:
        engine.stop()


def concerned(synthesis: Synthesis, start: str, happening: Mapping[str, Slots]) -> list[Alarm]:
    """The alarms of this name all of whose metrics are told of."""
    return [alarm for alarm in alarms(synthesis) if alarm.name.startswith(start) and alarm.metric.name in happening]


def topic_policies(synthesis: Synthesis) -> dict[str, Any]:
    """Logical id of a topic -> its policy; a topic without one has SNS's own, which lets the account's services in."""
    return {
        topic["Ref"]: policy["PolicyDocument"]
        for policy in synthesis.resources("AWS::SNS::TopicPolicy").values()
        for topic in policy["Topics"]
    }


def topic_of(action: Mapping[str, Any]) -> str:
    """The logical id of the topic behind an action: a reference, or an export of the data stack that names it."""
    text = json.dumps(action)
    (topic,) = {part for part in text.replace('"', " ").replace(":", " ").split() if "Alarms" in part}
    return topic.removeprefix("ExportsOutputRef") if "ExportsOutputRef" not in text else exported(topic)


def exported(name: str) -> str:
    """`recommender-dev-data` + `ExportsOutputRef` + logical id + hash of eight digits."""
    return name.partition("ExportsOutputRef")[2][:-8]


def decision(policy: Any, *, account: str, is_secure: bool = True) -> str:
    """What the embedded AWS's evaluator says of CloudWatch publishing for an alarm of `account`."""
    asked = EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action="sns:Publish",
        resource_arn=TOPIC,
        region="us-east-1",
        secure_transport=is_secure,
        service_context={"aws:sourceaccount": account},
    )
    return str(evaluate_resource_policy(resolved(policy, TOPIC), asked, service=CLOUDWATCH).decision)


def resolved(value: Any, topic: str) -> Any:
    """A policy with the references that it makes: to the topic, and to the account."""
    if isinstance(value, list):
        return [resolved(entry, topic) for entry in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return {"AWS::AccountId": ACCOUNT}.get(value["Ref"], topic)
    return {name: resolved(entry, topic) for name, entry in value.items()}


def key_lets_cloudwatch(topic: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    """True for a topic without a key of its own, and where the key's policy lets CloudWatch encrypt."""
    if "KmsMasterKeyId" not in topic:
        return True
    named = json.dumps(topic["KmsMasterKeyId"])
    allowed = {
        action
        for logical_id, key in keys.items()
        if f'"{logical_id}"' in named
        for statement in key["KeyPolicy"]["Statement"]
        if statement["Effect"] == "Allow" and statement["Principal"] == {"Service": CLOUDWATCH}
        for action in statement["Action"]
    }
    return {"kms:Decrypt", "kms:GenerateDataKey*"} <= allowed
