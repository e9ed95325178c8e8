"""The lines of a text file, gzipped or plain, as a stream that knows whether it is whole."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from taxi_assets.trips.errors import InvalidFile

GZIP_MAGIC = b"\x1f\x8b"
LONGEST_HEADER = 1 << 16
HEAD_BYTES = 512


class Lines:
    """Bytes of text after the header line, and what must be known of them in the end.

    pyarrow reads from it as from a file.

    Attributes:
        header: The names of the columns.
        breaks: Line breaks read so far.
        broken_off: Whether what was read so far ends inside a line.
    """

    def __init__(self, binary: BufferedReader | gzip.GzipFile, file: str) -> None:
        self._binary = binary
        _refuse_what_is_no_csv(binary.peek(HEAD_BYTES)[:HEAD_BYTES], file)
        first = binary.readline(LONGEST_HEADER).decode("utf-8-sig", errors="replace").strip()
        self.header = [name.strip() for name in next(csv.reader([first]), [])]
        self.breaks = 0
        self.broken_off = False
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none at the end."""
        block = self._binary.read(size)
        if block:
            self.breaks += block.count(b"\n")
            self.broken_off = not block.endswith(b"\n")
        return block

    def close(self) -> None:
        """Part of being a file; whoever opened it closes it."""
        self.closed = True

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._binary)


@contextmanager
def open_lines(path: Path, file: str) -> Iterator[Lines]:
    """Opens a text file and reads its header.

    Args:
        path: Where the file is.
        file: Its name, for errors.

    Raises:
        InvalidFile: On opening: it is empty or no CSV. Later, while it is read: its gzip is cut off or damaged.
    """
    with path.open("rb") as plain, _clear_gzip_errors(file):
        packed = plain.peek(2).startswith(GZIP_MAGIC)
        with gzip.GzipFile(fileobj=plain) if packed else plain as binary:
            yield Lines(binary, file)


@contextmanager
def _clear_gzip_errors(file: str) -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise InvalidFile(
            "The gzip file is cut off.", expected="the mark that ends a gzip file", found=str(error), where=file
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InvalidFile(
            "The gzip file is damaged.", expected="bytes that agree with its checksum", found=str(error), where=file
        ) from error


def _refuse_what_is_no_csv(head: bytes, file: str) -> None:
    text = head.decode("utf-8-sig", errors="replace").strip()
    if not text:
        raise InvalidFile("The file is empty.", expected="a CSV file with a header", found="no content", where=file)
    if text.startswith("<"):
        raise InvalidFile(
            "The file is a web page, no trip records.",
            expected="a CSV or Parquet file",
            found=text[:80],
            where=file,
            next_step="open the file's address in a browser: the source answers with a page, perhaps an error or a "
            "login; correct TAXI_SOURCE_URL",
        )
    if b"\0" in head:
        raise InvalidFile(
            "The file is neither CSV nor Parquet.",
            expected="CSV, gzipped or not, or Parquet",
            found=f"bytes that begin {head[:16]!r}",
            where=file,
        )
