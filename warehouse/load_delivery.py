"""One delivered file into its raw table: read whole, then loaded in parts, each once; rejects kept in raw.rejects.

Nothing is written before the last row was read: a file that breaks off changes nothing. Loaded in parts, each with
a line in the ledger named by the file's content and mapping: what was interrupted goes on where it stopped,
and the same content again, under whatever name, is skipped.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.fields import problem

from warehouse.load_files import ROWS_AT_ONCE, Reject, content_hash, read_pieces
from warehouse.load_mapping import Mapped, mapped
from warehouse.load_rows import LONGEST_CONTENT, convert
from warehouse.loading import is_loaded, load
from warehouse.statements import execute, transaction

if TYPE_CHECKING:
    import polars as pl

    from warehouse.engine import Connection

FIRST_ROWS: Final = 3
MOST_REJECTED: Final = 0.5  # of the rows: with more of them the mapping is wrong, not the rows


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file for a table, what the mapping file states of it, and the time it counts as loaded (naive UTC)."""

    table: str
    path: Path
    loaded_at: datetime
    stated: Mapping[str, Any] = field(default_factory=dict)
    encoding: str = "utf-8"
    rows_at_once: int = ROWS_AT_ONCE
    most_rejected: float = MOST_REJECTED


@dataclass(slots=True)
class Read:
    """What a file holds: the mapping, counts, the first rows, parts on disk and the rejects."""

    mapping: Mapped | None = None
    rows: int = 0
    good: int = 0
    ignored: int = 0
    columns: frozenset[str] = frozenset()  # of the first piece, by which the mapping was found
    late: list[str] = field(default_factory=list)  # keys of JSON lines that turn up in a later piece only
    first_rows: list[dict[str, Any]] = field(default_factory=list)
    parts: list[Path] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def reasons(self) -> dict[str, int]:
        """How many rows were refused for each reason, the most frequent first."""
        return dict(Counter(reject.reason for reject in self.rejects).most_common())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery. `loaded` is 0 and `skipped` true where its content was loaded before."""

    table: str
    file: str
    loaded: int = 0
    rejected: int = 0
    ignored: int = 0
    skipped: bool = False
    reasons: Mapping[str, int] = field(default_factory=dict)
    new_columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    mapping: tuple[str, ...] = ()


def read_delivery(delivery: Delivery, folder: Path, *, on_rows: Callable[[int], None] = lambda rows: None) -> Read:
    """Read and judge the whole file; good rows go to Parquet parts in `folder`. Raises InvalidInput."""
    read = Read()
    for piece in read_pieces(delivery.path, rows=delivery.rows_at_once, encoding=delivery.encoding):
        read.rejects += piece.rejects
        read.ignored += piece.ignored
        count = piece.frame.height + len(piece.rejects) + piece.ignored
        read.rows += count
        if piece.frame.height:
            _take(read, piece.frame, delivery, folder)
        on_rows(count)
    if not read.rows:
        raise problem(f"/{delivery.path.name}", "a file without rows", "rows")
    if len(read.rejects) > delivery.most_rejected * (read.rows - read.ignored):
        reasons = "; ".join(f"{count} x {reason}" for reason, count in read.reasons().items())
        raise problem(
            f"/{delivery.path.name}",
            f"a file with {len(read.rejects)} of {read.rows} rows refused ({reasons})"[:600],
            f"at most {delivery.most_rejected:.0%} refused; is the mapping right?",
        )
    return read


def _take(read: Read, frame: pl.DataFrame, delivery: Delivery, folder: Path) -> None:
    if read.mapping is None:
        read.mapping = mapped(delivery.table, frame.columns[1:], delivery.stated)
        read.columns = frozenset(frame.columns)
    read.late += [name for name in frame.columns if name not in read.columns and name not in read.late]
    converted = convert(frame, read.mapping, now=delivery.loaded_at)
    read.rejects += converted.rejects
    read.good += converted.frame.height
    read.first_rows += converted.frame.head(FIRST_ROWS - len(read.first_rows)).to_dicts()
    path = folder / f"part-{len(read.parts):05}.parquet"
    converted.frame.write_parquet(path, compression="lz4")
    read.parts.append(path)


def load_delivery(
    connection: Connection,
    delivery: Delivery,
    *,
    on_rows: Callable[[int], None] = lambda rows: None,
    on_part: Callable[[int], None] = lambda part: None,
) -> Outcome:
    """Load the file, or go on where an earlier attempt stopped, or skip it where all of it is there.

    `on_rows` hears how many rows were read, `on_part` the number of each part that is loaded for good.
    """
    import polars as pl

    file, load_id = delivery.path.name, load_id_of(delivery)
    if is_loaded(connection, load_id):
        return Outcome(delivery.table, file, skipped=True)
    with tempfile.TemporaryDirectory() as folder:
        read = read_delivery(delivery, Path(folder), on_rows=on_rows)
        loaded = 0
        added: list[str] = []
        left_out = [f"{name}: not among the first {delivery.rows_at_once} rows" for name in read.late]
        for number, path in enumerate(read.parts):
            done = load(
                connection,
                delivery.table,
                pl.read_parquet(path),
                load_id=f"{load_id}/{number}",
                loaded_at=delivery.loaded_at,
            )
            on_part(number)
            loaded += done.rows
            added += done.additions.added
            left_out += [f"{name}: {reason}" for name, reason in done.additions.left_out]
        _close(connection, delivery, load_id, read)
    return Outcome(
        delivery.table,
        file,
        loaded,
        len(read.rejects),
        read.ignored,
        reasons=read.reasons(),
        new_columns=tuple(added),
        left_out=tuple(dict.fromkeys(left_out)),
        mapping=tuple(read.mapping.lines()) if read.mapping else (),
    )


def load_id_of(delivery: Delivery) -> str:
    """By the file's content and all that decides how its rows are read and cut."""
    choice = json.dumps([delivery.stated, delivery.encoding, delivery.rows_at_once], sort_keys=True)
    content = content_hash(delivery.path)
    return f"file/{delivery.table}/{content}/{hashlib.sha256(choice.encode()).hexdigest()[:12]}"


def _close(connection: Connection, delivery: Delivery, load_id: str, read: Read) -> None:
    """Keep the rejects and write the file's own line in the ledger, both or neither."""
    import polars as pl

    rows = [
        {**asdict(reject), "reason": reject.reason[:1024], "content": reject.content[:LONGEST_CONTENT]}
        for reject in sorted(read.rejects, key=lambda reject: reject.row_number)
    ]
    with tempfile.TemporaryDirectory() as folder:
        if rows:
            path = Path(folder) / "rejects.parquet"
            pl.DataFrame(rows).write_parquet(path)
            stage = f"@ops.loading/rejects/{hashlib.sha256(load_id.encode()).hexdigest()[:16]}/"
            execute(connection, "create stage if not exists ops.loading")
            execute(connection, f"put 'file://{path}' {stage} auto_compress = false overwrite = true")
        told = {"file": delivery.path.name[:512], "loaded_at": delivery.loaded_at}
        with transaction(connection):
            if rows:
                execute(
                    connection,
                    "copy into raw.rejects (source_file, row_number, reason, content, loaded_at)"  # noqa: S608
                    " from (select %(file)s::varchar, $1:row_number::number(38, 0), $1:reason::varchar,"
                    " $1:content::varchar,"
                    f" %(loaded_at)s::timestamp_ntz from {stage})"
                    " file_format = (type = parquet use_logical_type = true) purge = true force = true",
                    told,
                )
            execute(
                connection,
                "insert into ops.loads (load_id, table_name, count_rows, loaded_at)"
                " values (%(load_id)s, %(table)s, %(rows)s, %(loaded_at)s)",
                # Its parts have counted the rows.
                {"load_id": load_id, "table": delivery.table, "rows": 0, "loaded_at": delivery.loaded_at},
            )
