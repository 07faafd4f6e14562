"""A text file, packed or not, of any encoding, as a stream of UTF-8 that CSV and JSON readers take."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from recommender.contracts.fields import problem

BROKEN: Final = "�"  # what a byte that is not of the encoding becomes
AT_ONCE: Final = 1 << 20


class Utf8:
    """Bytes of any encoding read as UTF-8 without a byte order mark; `tail` is what was read last."""

    closed = False

    def __init__(self, source: IO[bytes], encoding: str) -> None:
        self._source = source
        self._is_utf8 = codecs.lookup(encoding).name == "utf-8"
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if self._is_utf8 else encoding)("replace")
        self._ready = b""
        self._at_start = True
        self._at_end = False
        self.tail = b""

    def readable(self) -> bool:
        """Whether it can be read: always. pyarrow asks."""
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


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[Utf8]:
    """The file as UTF-8. Raises InvalidInput where it is packed and breaks off, or is not packed at all."""
    opener = gzip.open if path.suffix == ".gz" else open
    with cast(IO[bytes], opener(path, "rb")) as source:
        try:
            yield Utf8(source, encoding)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise problem(f"/{path.name}", f"a file that breaks off: {error}", "a whole file") from error
