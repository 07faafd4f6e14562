"""The event source mapping of the local run: a table's stream, in order, to a function, at least once.

One pump per consumer, each with its own position per shard. A position moves only when the
function has taken the batch; a batch that fails comes again, whole, until it is taken (or from the first
record that the function reports as failed). The event has the shape Lambda gives with a tumbling
window, because that is where `shardId` comes from.

The schedule of the local run: one function, every so many seconds, as EventBridge Scheduler would start it.

Keep what the shop has landed in S3: the embedded one forgets, and the next training wants it.

The folder has the layout of the bucket below `landing/events`; `recommender warehouse build --landing` reads it.
Simulated visitors are left out: no model may be trained on them.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from recommender.adapters.s3 import PREFIX

from local.aws.runtime_api import Outcome

BATCH_SIZE: Final = 100
WINDOW: Final = timedelta(seconds=5)
IDLE_SECONDS: Final = 0.25
FIRST_BACKOFF_SECONDS: Final = 0.25
LAST_BACKOFF_SECONDS: Final = 5.0

Deliver = Callable[[Mapping[str, Any]], Outcome]


class StreamPump:
    """Carries the stream of one table to one consumer."""

    def __init__(self, *, dynamodb: Any, streams: Any, table: str, deliver: Deliver) -> None:
        self._dynamodb, self._streams, self._table, self._deliver = dynamodb, streams, table, deliver
        self._arn = ""
        self._positions: dict[str, str] = {}  # shard -> last sequence number that was taken
        self._iterators: dict[str, str | None] = {}  # shard -> where to read on; None: read to its end
        self._parents: dict[str, str] = {}
        self._backoff = FIRST_BACKOFF_SECONDS
        self._behind = False  # a batch was not taken, so it comes again
        self._count_idle = 0  # how often nothing was left
        self._looked = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Pump in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name=f"stream of {self._table}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch in hand and stop."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def drain(self, *, seconds: float) -> bool:
        """Wait until all that was written before this call is taken; False where that takes longer."""
        with self._looked:
            enough = self._count_idle + 2  # the look that is under way may have begun before
            return self._looked.wait_for(lambda: self._count_idle >= enough, timeout=seconds)

    def pump(self) -> int:
        """Deliver at most one batch of each shard; the number of records that were taken."""
        if not self._arn:
            self._discover()
        taken, self._behind = 0, False
        for shard in list(self._iterators):
            if self._iterators.get(self._parents.get(shard, ""), None) is None:  # parents first
                taken += self._pump_shard(shard)
        return taken

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                taken = self.pump()
            except (BotoCoreError, ClientError):  # the engine is away or came back empty: look again
                self._arn = ""
                taken, self._behind = 0, True
            if not taken:
                self._note_idle()
                self._stopping.wait(IDLE_SECONDS)

    def _note_idle(self) -> None:
        if not self._behind:
            with self._looked:
                self._count_idle += 1
                self._looked.notify_all()

    def _discover(self) -> None:
        arn = self._dynamodb.describe_table(TableName=self._table)["Table"]["LatestStreamArn"]
        shards = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        if any(not record.startswith(arn) for record in self._positions):
            self._positions = {}  # a new stream: its sequence numbers start again
        self._parents = {shard["ShardId"]: shard.get("ParentShardId", "") for shard in shards}
        self._arn, self._iterators = arn, {}
        for shard in self._parents:
            self._rewind(shard)

    def _rewind(self, shard: str) -> None:
        """Read on after the last record that was taken, or from the beginning."""
        position = self._positions.get(f"{self._arn}/{shard}")
        start = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position}
            if position
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        answer = self._streams.get_shard_iterator(StreamArn=self._arn, ShardId=shard, **start)
        self._iterators[shard] = answer["ShardIterator"]

    def _pump_shard(self, shard: str) -> int:
        iterator = self._iterators[shard]
        if iterator is None:
            return 0
        answer = self._streams.get_records(ShardIterator=iterator, Limit=BATCH_SIZE)
        records = answer["Records"]
        taken = self._hand_over(shard, records) if records else 0
        if taken < len(records):
            self._behind = True
            self._rewind(shard)
            self._stopping.wait(self._backoff)
            self._backoff = min(2 * self._backoff, LAST_BACKOFF_SECONDS)
        else:
            self._iterators[shard] = answer.get("NextShardIterator")
            self._backoff = FIRST_BACKOFF_SECONDS
        return taken

    def _hand_over(self, shard: str, records: Sequence[Mapping[str, Any]]) -> int:
        """Invoke the function on a batch; how many records it took."""
        outcome = self._deliver(lambda_event(records, shard=shard, arn=self._arn, now=datetime.now(UTC)))
        taken = count_taken(outcome, records)
        if taken:
            self._positions[f"{self._arn}/{shard}"] = records[taken - 1]["dynamodb"]["SequenceNumber"]
        return taken


def lambda_event(records: Sequence[Mapping[str, Any]], *, shard: str, arn: str, now: datetime) -> dict[str, Any]:
    """The event that Lambda's poller makes of stream records."""
    return {
        "Records": [{**_plain(record), "eventSourceARN": arn} for record in records],
        "shardId": shard,
        "eventSourceARN": arn,
        "window": {"start": _stamp(now), "end": _stamp(now + WINDOW)},
        "state": {},
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }


def count_taken(outcome: Outcome, records: Sequence[Mapping[str, Any]]) -> int:
    """Count the records, from the first, that are done: all, none, or those before the first reported failure."""
    if outcome.error_type:
        return 0
    result = json.loads(outcome.payload)
    failures = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    failed = {failure.get("itemIdentifier") for failure in failures or ()}
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    return next((place for place, number in enumerate(numbers) if number in failed), len(numbers))


def _plain(value: Any) -> Any:
    """Stream records as JSON: bytes in base64, times as epoch seconds."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.timestamp() if isinstance(value, datetime) else value


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def scheduled_event(now: datetime) -> dict[str, Any]:
    """The event of a scheduled start."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {},
    }


class Schedule:
    """Calls `invoke` with a scheduled event once a period; the first time after one period."""

    def __init__(self, invoke: Callable[[Mapping[str, Any]], Outcome], *, period_seconds: float) -> None:
        self._invoke, self._period = invoke, period_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a start that is under way finishes."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            self._invoke(scheduled_event(datetime.now(UTC)))


SIMULATED: Final = "simulated-"  # how the visitor ids of simulated shoppers begin


def keep_landed(s3: Any, bucket: str, folder: Path) -> int:
    """Copy the objects that the folder lacks; how many. An engine that is gone has none to give."""
    count = 0
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}/"):
            for entry in page.get("Contents", ()):
                target = folder / entry["Key"].removeprefix(f"{PREFIX}/")
                if not target.exists():
                    count += _copy(s3, bucket, entry["Key"], target)
    except (BotoCoreError, ClientError):
        return count
    return count


def _copy(s3: Any, bucket: str, key: str, target: Path) -> bool:
    """True where anything was kept."""
    lines = s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines(keepends=True)
    kept = [line for line in lines if not str(json.loads(line).get("visitor_id")).startswith(SIMULATED)]
    if not kept:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    fresh.write_bytes(b"".join(kept))
    fresh.replace(target)
    return True
