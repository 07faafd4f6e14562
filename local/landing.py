"""Keep what the shop has landed in S3: the embedded one forgets, and the next training wants it.

The folder has the layout of the bucket below `landing/events`; `python -m warehouse build --landing` reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from recommender.adapters.event_landing import PREFIX


def keep_landed(s3: Any, bucket: str, folder: Path) -> int:
    """Copy the objects that the folder lacks; how many. An engine that is gone has none to give."""
    count = 0
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}/"):
            for entry in page.get("Contents", ()):
                target = folder / entry["Key"].removeprefix(f"{PREFIX}/")
                if not target.exists():
                    _copy(s3, bucket, entry["Key"], target)
                    count += 1
    except (BotoCoreError, ClientError):
        return count
    return count


def _copy(s3: Any, bucket: str, key: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    fresh.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    fresh.replace(target)
