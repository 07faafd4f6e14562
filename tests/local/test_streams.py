"""The stream pump against the embedded DynamoDB: order, retries, positions of its own for each consumer."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError

from local.aws.engine import Engine
from local.aws.runtime_api import Outcome, failure
from local.aws.streams import StreamPump

TABLE = "visits"


class Consumer:
    """Takes batches, or refuses as many as it is told to."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.batches: list[Mapping[str, Any]] = []
        self.refusals = refusals
        self.answer: Mapping[str, Any] = {}

    def __call__(self, event: Mapping[str, Any]) -> Outcome:
        self.batches.append(json.loads(json.dumps(event)))
        if self.refusals:
            self.refusals -= 1
            return failure("Unhandled", "not now")
        return Outcome(json.dumps(self.answer).encode())

    @property
    def numbers(self) -> list[list[int]]:
        """The numbers written, batch by batch."""
        return [
            [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in batch["Records"]] for batch in self.batches
        ]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(environment=os.environ, log=tmp_path_factory.mktemp("engine") / "engine.log")
    yield engine
    engine.stop()


@pytest.fixture
def clients(engine: Engine) -> Iterator[dict[str, Any]]:
    """The table, empty, with its stream on."""
    made = connect(engine)
    create_table(made)
    yield made
    made["dynamodb"].delete_table(TableName=TABLE)
    for client in made.values():
        client.close()


def connect(engine: Engine) -> dict[str, Any]:
    access = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "eu-central-1"}
    return {name: boto3.client(name, endpoint_url=engine.url, **access) for name in ("dynamodb", "dynamodbstreams")}


def create_table(clients: Mapping[str, Any]) -> None:
    clients["dynamodb"].create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "session", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "session", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )


def pump(clients: Mapping[str, Any], consumer: Consumer) -> StreamPump:
    return StreamPump(dynamodb=clients["dynamodb"], streams=clients["dynamodbstreams"], table=TABLE, deliver=consumer)


def write(clients: Mapping[str, Any], *numbers: int) -> None:
    for number in numbers:
        item = {"session": {"S": f"s{number % 3}"}, "n": {"N": str(number)}, "accepted": {"B": b"\x00packed"}}
        clients["dynamodb"].put_item(TableName=TABLE, Item=item)


def test_records_come_in_order_in_the_shape_of_lambda(clients: dict[str, Any]) -> None:
    consumer = Consumer()
    write(clients, *range(5))

    taken = pump(clients, consumer).pump()

    record = consumer.batches[0]["Records"][4]
    assert taken == 5
    assert consumer.numbers == [[0, 1, 2, 3, 4]]
    assert base64.b64decode(record["dynamodb"]["NewImage"]["accepted"]["B"]) == b"\x00packed"
    assert record["eventSource"] == "aws:dynamodb"
    assert record["eventSourceARN"] == consumer.batches[0]["eventSourceARN"]
    assert consumer.batches[0]["shardId"].startswith("shardId-")


def test_a_refused_batch_comes_again_before_anything_newer(clients: dict[str, Any]) -> None:
    consumer = Consumer(refusals=1)
    stream = pump(clients, consumer)
    write(clients, 0, 1)

    assert stream.pump() == 0
    write(clients, 2)
    while len(consumer.batches) < 3 and stream.pump():
        pass

    assert consumer.numbers[:2] == [[0, 1], [0, 1, 2]]


def test_after_a_reported_failure_reading_goes_on_at_that_record(clients: dict[str, Any]) -> None:
    consumer = Consumer()
    stream = pump(clients, consumer)
    write(clients, 0, 1, 2)
    first = pump(clients, spy := Consumer())
    first.pump()
    second_number = spy.batches[0]["Records"][1]["dynamodb"]["SequenceNumber"]
    consumer.answer = {"batchItemFailures": [{"itemIdentifier": second_number}]}

    assert stream.pump() == 1
    consumer.answer = {"batchItemFailures": []}
    assert stream.pump() == 2

    assert consumer.numbers == [[0, 1, 2], [1, 2]]


def test_draining_waits_for_what_was_refused_at_first(clients: dict[str, Any]) -> None:
    consumer = Consumer(refusals=2)
    stream = pump(clients, consumer)
    stream.start()
    write(clients, 0, 1, 2)

    assert stream.drain(seconds=20)

    stream.stop()
    assert consumer.numbers[-1] == [0, 1, 2]
    assert not stream.drain(seconds=0.1)  # nobody pumps any more


def test_each_consumer_has_its_own_position(clients: dict[str, Any]) -> None:
    failing, working = Consumer(refusals=1), Consumer()
    streams = [pump(clients, failing), pump(clients, working)]
    write(clients, 7)

    assert [stream.pump() for stream in streams] == [0, 1]
    assert [stream.pump() for stream in streams] == [1, 0]


def test_a_killed_engine_comes_back_and_the_pump_finds_the_new_stream(tmp_path: Path) -> None:
    engine = Engine(environment=os.environ, log=tmp_path / "engine.log")
    made = connect(engine)

    create_table(made)
    engine.refill_with(lambda: create_table(made))
    consumer = Consumer()
    stream = pump(made, consumer)
    stream.start()
    try:
        write(made, 1)
        wait_for(lambda: consumer.numbers == [[1]])
        killed = engine.process
        killed.kill()
        wait_for(lambda: engine.process is not killed and table_exists(made["dynamodb"]))
        write(made, 2)
        wait_for(lambda: consumer.numbers == [[1], [2]])
    finally:
        stream.stop()
        engine.stop()
        for client in made.values():
            client.close()


def table_exists(dynamodb: Any) -> bool:
    try:
        return TABLE in dynamodb.list_tables()["TableNames"]
    except BotoCoreError:  # no connection while the engine is away
        return False


def wait_for(condition: Any, *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
