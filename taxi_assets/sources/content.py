"""Whether a body is what belongs at its address: checked while it streams by, and once more when it is whole.

The gzip check inflates the stream beside the download, about 0.3 s of CPU for 1.4 million trips: a broken file is
refused before it is put in place, so that it is never kept as the month's file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from taxi_assets.sources.layouts import LayoutName

_INFLATED_AT_ONCE = 1 << 20


class InvalidContent(Exception):
    """A body that is not what belongs at its address.

    Attributes:
        expected: What belongs there.
        found: What came.
        whole: Whether more bytes could not have mended it.
    """

    def __init__(self, expected: str, found: str, *, whole: bool = True) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected, self.found, self.whole = expected, found, whole


class Check(Protocol):
    """Sees every byte of a body in order, then the whole file."""

    expected: str

    def feed(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            InvalidContent: They do not fit.
        """

    def finish(self, path: Path) -> None:
        """Says that the body is over and stands in this file.

        Raises:
            InvalidContent: It is not whole, or not what belongs there.
        """


class GzipCheck:
    """The start of a gzip stream, then CRC and length of each of its members."""

    expected = "a gzip file"

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._started = False

    def feed(self, data: bytes) -> None:
        """Inflates the next bytes, a bounded piece at a time."""
        if not self._started:
            _begins(data, b"\x1f\x8b", self.expected)
            self._started = True
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")  # Padding after a member is allowed, as by gzip itself.
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=31)
            with _damage():
                self._member.decompress(data, _INFLATED_AT_ONCE)
            data = self._member.unconsumed_tail or self._member.unused_data

    def finish(self, path: Path) -> None:
        """Demands that the last member is over."""
        _not_empty(path, self.expected)
        if not self._member.eof:
            with _damage():
                self._member.flush()
        if not self._member.eof:
            raise InvalidContent(
                "a complete gzip file", f"one that breaks off after {path.stat().st_size:,} bytes", whole=False
            )


class ParquetCheck:
    """The magic bytes at both ends of a Parquet file, and a footer that can be read."""

    expected = "a Parquet file"

    def __init__(self) -> None:
        self._started = False

    def feed(self, data: bytes) -> None:
        """Looks at the first bytes."""
        if not self._started:
            _begins(data, b"PAR1", self.expected)
            self._started = True

    def finish(self, path: Path) -> None:
        """Reads the end of the file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        _not_empty(path, self.expected)
        with path.open("rb") as file:
            file.seek(-4, 2)
            if file.read() != b"PAR1":
                found = f"one that breaks off after {path.stat().st_size:,} bytes: the footer is missing"
                raise InvalidContent("a complete Parquet file", found, whole=False)
        try:
            pq.read_metadata(path)
        except (pa.ArrowException, OSError) as error:
            raise InvalidContent("an intact Parquet file", f"a damaged footer ({error})") from None


class CsvCheck:
    """Plain CSV text: not a page of HTML, and not empty."""

    expected = "a CSV file"

    def __init__(self) -> None:
        self._started = False

    def feed(self, data: bytes) -> None:
        """Looks at the first bytes."""
        if not self._started and data.lstrip()[:1] in (b"<", b"{", b"\0"):
            raise InvalidContent(self.expected, _described(data))
        self._started = True

    def finish(self, path: Path) -> None:
        """Demands that there is something."""
        _not_empty(path, self.expected)


def check_for(layout: LayoutName) -> Check:
    """The check of a layout's files."""
    return GzipCheck() if layout == "csv" else ParquetCheck()


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except zlib.error as error:
        raise InvalidContent("an intact gzip file", f"damaged data ({error})") from None


def _begins(data: bytes, magic: bytes, expected: str) -> None:
    if not data.startswith(magic):
        raise InvalidContent(f"{expected}, beginning with the bytes {magic.hex(' ')}", _described(data))


def _described(data: bytes) -> str:
    start = data[:4096].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        kind = "an HTML page"
    elif start.startswith(b"<"):
        kind = "a page of HTML or XML"
    else:
        kind = "something else"
    text = " ".join(data[:80].decode("utf-8", "replace").split())
    return f"{kind}, beginning with {text!r}"


def _not_empty(path: Path, expected: str) -> None:
    if path.stat().st_size == 0:
        raise InvalidContent(expected, "an empty file")
