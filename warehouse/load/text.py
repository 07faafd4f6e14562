"""A text file, packed or not, of any encoding, as a stream of UTF-8 that CSV and JSON readers take.

A byte order mark or the zero bytes of UTF-16 decide the encoding where nothing else is stated; a file that
is no text whatever its name is refused by its first bytes; line ends of old Macintoshes become those of today.

What a delivered file is read into: pieces of rows, and rows that could not be taken.

A row's number is the one a person sees: that of a spreadsheet in a CSV file (the head is row 1), the line in JSON
lines, counted from 1 in Parquet.

Decisions: docs/decisions/load.md (170).
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from recommender.contracts.fields import problem

if TYPE_CHECKING:
    import polars as pl


BROKEN: Final = "�"  # what a byte that is not of the encoding becomes
AT_ONCE: Final = 1 << 20
SNIFFED: Final = 1 << 12
MARKS: Final = (  # the longer first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NO_TEXT: Final = {
    b"PK\x03\x04": "a ZIP archive, as .xlsx is",
    b"\xd0\xcf\x11\xe0": "an old Office file, as .xls is",
    b"PAR1": "Parquet",
    b"%PDF": "PDF",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"SQLite format 3": "an SQLite database",
}
MOST_ZEROS: Final = 0.3  # of the odd or the even bytes: Latin letters in UTF-16 have one zero byte each


class Utf8:
    """Bytes of any encoding read as UTF-8 without a byte order mark; `tail` is what was read last."""

    closed = False

    def __init__(self, source: IO[bytes], encoding: str) -> None:
        self._source = source
        self._is_utf8 = codecs.lookup(encoding).name == "utf-8"
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if self._is_utf8 else encoding)("replace")
        self._ready = b""
        self.has_old_ends = False  # a carriage return alone ends a line
        self._at_start = True
        self._at_end = False
        self.tail = b""

    def readable(self) -> bool:
        """Return that it can be read, for pyarrow."""
        return True

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end, without taking them."""
        pieces = [self._ready]
        have = len(self._ready)
        while have < size and not self._at_end:
            pieces.append(self._decoded())
            have += len(pieces[-1])
        self._ready = b"".join(pieces)
        return self._ready[:size]

    def read(self, size: int) -> bytes:
        """Take the next `size` bytes, fewer at the end."""
        taken = self.peek(size)
        if self.has_old_ends:
            taken = taken.replace(b"\r", b"\n")
        self._ready = self._ready[len(taken) :]
        self.tail = (self.tail + taken)[-4:] if len(taken) < 4 else taken[-4:]
        return taken

    def lines(self, count: int) -> Iterator[list[bytes]]:
        """All lines in lists of `count`, the last one shorter, with their ends of line."""
        left: list[bytes] = []
        begun = b""
        while block := self.read(AT_ONCE):
            found = (begun + block).splitlines(keepends=True)
            begun = b"" if block.endswith(b"\n") else found.pop()
            left += found
            while len(left) >= count:
                yield left[:count]
                left = left[count:]
        if left or begun:
            yield [*left, begun] if begun else left

    def _decoded(self) -> bytes:
        block = self._source.read(AT_ONCE)
        self._at_end = not block
        is_plain = self._is_utf8 and not self._at_start and block.isascii() and not self._decoder.getstate()[0]
        self._at_start = False
        return block if is_plain else self._decoder.decode(block, final=self._at_end).encode()

    def take_line(self) -> bytes:
        """Take the first line, which is short."""
        line = self.peek(SNIFFED).splitlines(keepends=True)[0]
        return self.read(len(line))

    def mend_ends(self) -> None:
        """Find out whether lines end with carriage returns alone; from then on they end as elsewhere."""
        start = self.peek(1 << 16)
        self.has_old_ends = b"\r" in start.rstrip(b"\r") and b"\n" not in start


def sniffed(start: bytes, encoding: str) -> str:
    """The encoding that the first bytes of a file show, else the stated one. Raises ValueError for what is no text."""
    if kind := next((kind for magic, kind in NO_TEXT.items() if start.startswith(magic)), ""):
        raise ValueError(kind)
    if codecs.lookup(encoding).name != "utf-8":
        return encoding
    if marked := next((name for mark, name in MARKS if start.startswith(mark)), ""):
        return marked
    odd, even = start[1::2], start[::2]
    if odd.count(0) > MOST_ZEROS * len(odd) and not even.count(0):
        return "utf-16-le"
    if even.count(0) > MOST_ZEROS * len(even) and not odd.count(0):
        return "utf-16-be"
    if start.count(0) > MOST_ZEROS / 10 * len(start):
        raise ValueError("bytes that are no text")
    return encoding


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[Utf8]:
    """The file as UTF-8. Raises InvalidInput where it is packed and breaks off, or is not packed at all."""
    opener = gzip.open if path.suffix == ".gz" else open
    with cast(BufferedReader, opener(path, "rb")) as source:
        try:
            text = Utf8(source, _encoding_of(path, source.peek(SNIFFED)[:SNIFFED], encoding))
            text.mend_ends()
            yield text
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise problem(f"/{path.name}", f"a file that breaks off: {error}", "a whole file") from error


def _encoding_of(path: Path, start: bytes, encoding: str) -> str:
    try:
        return sniffed(start, encoding)
    except ValueError as error:
        raise problem(f"/{path.name}", str(error), "a text file, by its name") from error


ROWS_AT_ONCE: Final = 250_000
NUMBER: Final = "row_number"


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be taken. The reason names no value, so it can be printed; the content stays inside."""

    row_number: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a file as text or typed columns with their row_number, lines that are no rows, rows of no concern."""

    frame: pl.DataFrame
    rejects: tuple[Reject, ...] = ()
    ignored: int = 0
