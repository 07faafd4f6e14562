"""The tasks of the schedule, end to end on one day."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from recommender.contracts.events import EventItem, to_record

from tests.warehouse.shop import at, deliver_items, event
from warehouse.daily import export_to, load_landed
from warehouse.engine import Warehouse
from warehouse.manifest import MANIFEST, read_manifest
from warehouse.pipeline import run_day

NOW = at("2026-01-03T03:00:00")


class Bucket:
    """Keeps what is uploaded, in order."""

    def __init__(self, root: Path) -> None:
        self.root, self.keys = root, list[str]()

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        target = self.root / bucket / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(path).read_bytes())
        self.keys.append(key)


def test_a_day_goes_from_landed_events_to_exports_on_s3(warehouse: Warehouse, tmp_path: Path) -> None:
    deliver_items(warehouse, "tea")
    bought = event("e1", "purchase", "2026-01-02T10:00:00", EventItem("tea", 2, 150), transaction_id="o1")
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "batch.jsonl").write_text(json.dumps(to_record(bought)) + "\n")
    bucket = Bucket(tmp_path / "s3")

    assert load_landed(warehouse.connection, str(tmp_path / "landing"), loaded_at=NOW) == 1
    run_day(warehouse.connection, date(2026, 1, 3))
    target = export_to(warehouse, "s3://exports/2026-01-03", now=NOW, s3=bucket)

    assert target == "s3://exports/2026-01-03"
    assert bucket.keys[-1] == f"2026-01-03/{MANIFEST}"
    manifest = read_manifest(bucket.root / "exports" / "2026-01-03")
    assert (manifest.files["purchases"].rows, manifest.derived) == (1, False)
