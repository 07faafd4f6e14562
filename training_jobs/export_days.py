"""Which exports a run reads: those it was pointed to, or the newest day below a prefix of days.

A schedule has a fixed address, and the exports of each night a new one: `<prefix>/2026-01-03/`. So a job that finds no
manifest where it looks takes the newest day that has one. The manifest is written last: a day without it is not whole.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from recommender.errors import ArtifactRefused

from training_jobs.export_manifest import MANIFEST, data_hash, read_manifest

DATA_HASH = "data_hash"  # in the metrics of the run's first job: what its later jobs must read, too


def chosen_export(root: Path, *, learnt_from: str = "") -> Path:
    """`root` where it has a manifest, else the newest day below it that has one. Raises ArtifactRefused.

    `learnt_from` is the hash of the data that an earlier job of the run has read: a day that was exported meanwhile
    is passed over, so that a run never learns from one day and is judged by another.
    """
    if (root / MANIFEST).is_file():
        return root
    days = sorted((path for path in root.iterdir() if _is_day(path.name) and (path / MANIFEST).is_file()), reverse=True)
    if not days:
        raise ArtifactRefused(
            f"{root / MANIFEST} cannot be read: there is none, nor in a day below, such as {root.name}/2026-01-03;"
            " expected the warehouse's export"
        )
    if not learnt_from:
        return days[0]
    for day in days:
        if data_hash(read_manifest(day)) == learnt_from:
            return day
    names = ", ".join(day.name for day in days)
    raise ArtifactRefused(
        f"the run began on exports of hash {learnt_from}, {root} has {names}, and none of them has it"
    )


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False
