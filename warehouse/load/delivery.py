"""One delivered file into its raw table: read whole, then loaded in parts, each once; rejects kept in raw.rejects.

Nothing is written before the last row was read: a file that breaks off changes nothing. Loaded in parts, each with
a line in the ledger named by the file's content and mapping: what was interrupted goes on where it stopped,
and the same content again, under whatever name, is skipped.

Decisions: docs/decisions/load.md (171, 172).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.fields import problem

from warehouse.engine.statements import execute, transaction
from warehouse.load.files import content_hash, read_pieces
from warehouse.load.mapping import Mapped, mapped
from warehouse.load.offers import check_availabilities
from warehouse.load.rejects import keep_rejects, read_rejects, write_rejects
from warehouse.load.rows import REASON, Converted, convert
from warehouse.load.tally import GOOD, Tally, tally
from warehouse.load.text import ROWS_AT_ONCE, Reject
from warehouse.raw.raw_append import Part, is_loaded, load_part, placed, record_load, write_part
from warehouse.tables import PLACE

if TYPE_CHECKING:
    import polars as pl

    from warehouse.engine.statements import Connection

FIRST_ROWS: Final = 3
MOST_REJECTED: Final = 0.5  # of the rows: with more of them the mapping is wrong, not the rows


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file for a table, what the mapping file states of it, and the time it counts as loaded (naive UTC).

    `partition` has columns that stand in the path (`day=2026-01-01/`) and not in the file; `called` is its name
    in rejects where the path's last part is ambiguous; into the folder `rejects_out` its refused rows go as CSV.
    """

    table: str
    path: Path
    loaded_at: datetime
    stated: Mapping[str, Any] = field(default_factory=dict)
    encoding: str = "utf-8"
    rows_at_once: int = ROWS_AT_ONCE
    most_rejected: float = MOST_REJECTED
    partition: Mapping[str, str] = field(default_factory=dict)
    called: str = ""
    may_be_empty: bool = False
    rejects_out: Path | None = None

    @property
    def name(self) -> str:
        """Return its name in logs and rejects."""
        return self.called or self.path.name


@dataclass(slots=True)
class Read:
    """A read file: the mapping, counts, the first rows; good and refused rows in parts on disk."""

    mapping: Mapped | None = None
    rows: int = 0
    good: int = 0
    ignored: int = 0
    rejected: int = 0
    columns: tuple[str, ...] = ()  # of the first piece, by which the mapping was found
    late: list[str] = field(default_factory=list)  # keys of JSON lines that turn up in a later piece only
    first_rows: list[dict[str, Any]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    refused: list[Path] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)  # words of availability
    tallies: dict[str, Tally] = field(default_factory=dict)  # by reason; of good rows under GOOD
    repeated: int = 0  # rows of items that stand in the file again further down

    def reasons(self) -> dict[str, int]:
        """Count the refused rows by reason, the most frequent first."""
        return dict(self.counts.most_common())

    def rejects(self) -> Iterator[Reject]:
        """The refused rows, a part at a time: of each piece first the lines that are no rows."""
        return read_rejects(self.refused)

    def count(self, reason: str, found: Tally) -> None:
        """Add rows of a reason to what is known of them."""
        self.tallies[reason] = self.tallies.get(reason, Tally()) + found


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a delivery. `loaded` is 0 and `skipped` true where its content was loaded before."""

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
    repeated: int = 0
    tallies: Mapping[str, Tally] = field(default_factory=dict, repr=False)

    def to_body(self) -> dict[str, Any]:
        """As JSON, without the tallies."""
        return {name.name: getattr(self, name.name) for name in fields(self) if name.name != "tallies"}


def read_delivery(
    delivery: Delivery, folder: Path, *, load_id: str = "", on_rows: Callable[[int], None] = lambda rows: None
) -> Read:
    """Read and judge the whole file; good and refused rows go to Parquet parts in `folder`. Raises InvalidInput.

    `load_id` is what the rows will be known by.
    """
    read = Read()
    for piece in read_pieces(delivery.path, rows=delivery.rows_at_once, encoding=delivery.encoding):
        for reason, count in Counter(reject.reason for reject in piece.rejects).items():
            read.count(reason, Tally(count))
        _refuse(read, piece.rejects, folder, piece.frame.columns[1:])
        read.ignored += piece.ignored
        count = piece.frame.height + len(piece.rejects) + piece.ignored
        read.rows += count
        if piece.frame.height:
            _take(read, piece.frame, delivery, folder, load_id)
        on_rows(count)
    if read.refused and delivery.rejects_out is not None:
        shown = f"{delivery.name.replace('/', '_')}.rejects.csv"
        write_rejects(read.rejects(), read.columns[1:], delivery.rejects_out / shown)
    if not read.rows and not delivery.may_be_empty:
        raise problem(f"/{delivery.name}", "a file without rows", "rows")
    if read.rejected > delivery.most_rejected * (read.rows - read.ignored):
        reasons = "; ".join(f"{count} x {reason}" for reason, count in read.reasons().items())
        raise problem(
            f"/{delivery.name}",
            f"a file with {read.rejected} of {read.rows} rows refused ({reasons})"[:600],
            f"at most {delivery.most_rejected:.0%} refused; is the mapping right?",
        )
    check_availabilities(delivery.name, read.unknown, read.good + read.rejected)
    read.repeated = _count_repeated(delivery.table, read.parts)
    return read


def _take(read: Read, frame: pl.DataFrame, delivery: Delivery, folder: Path, load_id: str) -> None:
    import polars as pl

    stated = {name: value for name, value in delivery.partition.items() if name not in frame.columns}
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in stated.items())
    if read.mapping is None:
        read.mapping = mapped(delivery.table, frame.columns[1:], delivery.stated)
        read.columns = tuple(frame.columns)
    read.late += [name for name in frame.columns if name not in read.columns and name not in read.late]
    converted = convert(frame, read.mapping, now=delivery.loaded_at)
    kept = read.mapping.columns.values() if delivery.table == "items" else ()  # their names are of things
    _refuse(read, converted.rejects, folder, frame.columns[1:], kept)
    _count(read, converted)
    if not converted.frame.height:
        return
    read.good += converted.frame.height
    shown = converted.frame.drop(*PLACE, strict=False).head(FIRST_ROWS - len(read.first_rows))
    read.first_rows += shown.to_dicts()
    good = placed(delivery.table, converted.frame, load_id, converted.numbers)
    read.parts.append(write_part(good, delivery.table, folder / f"part-{len(read.parts):05}.parquet"))


def _count(read: Read, converted: Converted) -> None:
    read.unknown.update(converted.unknown)
    read.count(GOOD, tally(converted.frame))
    for (reason,), rows in converted.read.drop_nulls(REASON).group_by(REASON):
        read.count(str(reason), tally(rows))


def _count_repeated(table: str, parts: Sequence[Part]) -> int:
    """Rows of a catalogue that are not the last of their item."""
    import polars as pl

    if table != "items" or not parts:
        return 0
    ids = pl.concat([pl.read_parquet(part.path, columns=["item_id"])["item_id"].hash(seed=0) for part in parts])
    return len(ids) - int(ids.n_unique())


def _refuse(
    read: Read, rejects: Sequence[Reject], folder: Path, columns: Sequence[str], kept: Iterable[str] = ()
) -> None:
    """Keep refused rows on disk: there may be as many as a long file has rows."""
    if not rejects:
        return
    read.rejected += len(rejects)
    read.counts.update(reject.reason for reject in rejects)
    path = folder / f"rejects-{len(read.refused):05}.parquet"
    keep_rejects(rejects, path, columns=columns, kept=kept)
    read.refused.append(path)


def load_delivery(
    connection: Connection,
    delivery: Delivery,
    *,
    on_rows: Callable[[int], None] = lambda rows: None,
    on_part: Callable[[int], None] = lambda part: None,
) -> Outcome:
    """Load the file, or go on where an earlier attempt stopped, or skip it where all of it is there.

    `on_rows` receives the number of rows read, `on_part` the number of each part that is loaded for good.
    """
    file, load_id = delivery.name, load_id_of(delivery)
    if is_loaded(connection, load_id):
        return Outcome(delivery.table, file, skipped=True)
    with tempfile.TemporaryDirectory() as folder:
        read = read_delivery(delivery, Path(folder), load_id=load_id, on_rows=on_rows)
        loaded = 0
        added: list[str] = []
        left_out = [f"{name}: not among the first {delivery.rows_at_once} rows" for name in read.late]
        for number, part in enumerate(read.parts):
            done = load_part(
                connection, delivery.table, part, load_id=f"{load_id}/{number}", loaded_at=delivery.loaded_at
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
        read.rejected,
        read.ignored,
        reasons=read.reasons(),
        new_columns=tuple(added),
        left_out=tuple(dict.fromkeys(left_out)),
        mapping=tuple(read.mapping.lines()) if read.mapping else (),
        repeated=read.repeated,
        tallies=read.tallies,
    )


def load_id_of(delivery: Delivery) -> str:
    """By the file's content and all that decides how its rows are read and cut."""
    choice = json.dumps(
        [
            delivery.stated,
            delivery.encoding,
            delivery.rows_at_once,
            *([delivery.partition] if delivery.partition else []),
        ],
        sort_keys=True,
    )
    content = content_hash(delivery.path)
    return f"file/{delivery.table}/{content}/{hashlib.sha256(choice.encode()).hexdigest()[:12]}"


def _close(connection: Connection, delivery: Delivery, load_id: str, read: Read) -> None:
    """Keep the rejects and write the file's own line in the ledger, both or neither."""
    stage = f"@ops.loading/rejects/{hashlib.sha256(load_id.encode()).hexdigest()[:16]}/"
    for path in read.refused:
        execute(connection, "create stage if not exists ops.loading")
        execute(connection, f"put 'file://{path}' {stage} auto_compress = false overwrite = true")
    with transaction(connection):
        if read.refused:
            execute(
                connection,
                "copy into raw.rejects (source_file, row_number, reason, content, loaded_at)"  # noqa: S608
                " from (select %(file)s::varchar, $1:row_number::number(38, 0), $1:reason::varchar,"
                f" $1:content::varchar, %(loaded_at)s::timestamp_ntz from {stage})"
                " file_format = (type = parquet use_logical_type = true) purge = true force = true",
                {"file": delivery.name[-512:], "loaded_at": delivery.loaded_at},
            )
        # Its parts have counted the rows.
        record_load(connection, delivery.table, 0, load_id=load_id, loaded_at=delivery.loaded_at)
