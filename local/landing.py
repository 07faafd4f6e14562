"""Keep what the shop has landed in S3: the embedded one forgets, and the next training wants it.

The folder has the layout of the bucket below `landing/events`; `python -m warehouse build --landing` reads it.
Simulated visitors are left out: no model may be trained on them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from recommender.adapters.event_landing import PREFIX

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
