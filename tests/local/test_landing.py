"""Landed events outlive the embedded S3."""

from __future__ import annotations

import os
from pathlib import Path

from local.aws.engine import Engine
from local.aws.provision import Access
from local.aws.streams import keep_landed
from local.settings import load_or_make

BUCKET = "recommender-events"


def test_landed_objects_are_kept_once_without_simulated_visitors_and_a_dead_engine_gives_none(tmp_path: Path) -> None:
    engine = Engine(environment=os.environ, log=tmp_path / "engine.log")
    s3 = Access(engine.url, load_or_make(tmp_path / "keys.json")).client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for name in ("one", "two"):
        s3.put_object(Bucket=BUCKET, Key=f"landing/events/dt=2026-11-23/{name}.jsonl", Body=b'{"event_id": "e"}\n')

    mixed = b'{"visitor_id": "simulated-1-s2"}\n{"visitor_id": "v_1"}\n'
    s3.put_object(Bucket=BUCKET, Key="landing/events/dt=2026-11-23/mixed.jsonl", Body=mixed)
    s3.put_object(Bucket=BUCKET, Key="landing/events/dt=2026-11-23/made-up.jsonl", Body=mixed.splitlines()[0])

    first, second = (keep_landed(s3, BUCKET, tmp_path / "landing") for _ in range(2))
    engine.stop()
    third = keep_landed(s3, BUCKET, tmp_path / "landing")
    s3.close()

    assert (first, second, third) == (3, 0, 0)
    assert (tmp_path / "landing" / "dt=2026-11-23" / "one.jsonl").read_text() == '{"event_id": "e"}\n'
    assert (tmp_path / "landing" / "dt=2026-11-23" / "mixed.jsonl").read_text() == '{"visitor_id": "v_1"}\n'
    assert not (tmp_path / "landing" / "dt=2026-11-23" / "made-up.jsonl").exists()
