"""A month's CSV file, gzipped or plain, as record batches."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from taxi_assets.trips.columns import Column
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.reading.csv_errors import first_error
from taxi_assets.trips.values import convert, text_type

BLOCK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
LONGEST_HEADER = 1 << 16
HEAD_BYTES = 512


class Lines:
    """The lines after the header, as a file for pyarrow that counts line breaks.

    Attributes:
        header: The names of the columns.
        breaks: Line breaks read so far.
        broken_off: Whether what was read so far ends inside a line.
    """

    def __init__(self, binary: BufferedReader | gzip.GzipFile, file: str) -> None:
        self._binary = binary
        _require_csv(binary.peek(HEAD_BYTES)[:HEAD_BYTES], file)
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
        """Marks it as closed, as pyarrow expects of a file. `_open_lines` closes the file itself."""
        self.closed = True

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._binary)


class CsvFile:
    """An open CSV file.

    Attributes:
        names: Its columns, in its order.
    """

    def __init__(self, path: Path, file: str, lines: Lines) -> None:
        self.names = lines.header
        self._path, self._file, self._lines = path, file, lines

    def batches(self, columns: Mapping[str, Column]) -> Iterator[pa.RecordBatch]:
        """Batches of these columns, with the registry's names and types.

        Args:
            columns: The registry's column by the file's name.

        Raises:
            InvalidFile: A line is broken, or a value does not fit its column.
        """
        lines, rows = self._lines, 0
        try:
            for batch in self._converted(columns):
                rows += batch.num_rows
                yield batch
        except pa.ArrowInvalid as error:
            if not lines.breaks and not lines.broken_off:
                return
            raise self._first_error(columns, rows) or _unexplained(self._file, rows, error) from error
        # A quotation mark that is never closed swallows lines without an error, and blank lines are no rows.
        if (lines.broken_off or lines.breaks != rows) and (invalid := self._first_error(columns, 0)):
            raise invalid

    def _converted(self, columns: Mapping[str, Column]) -> Iterator[pa.RecordBatch]:
        types = {name: text_type(column.type) for name, column in columns.items()}
        # One thread parses while another unpacks: measured as fast as more threads, at 20 MB less.
        with pa_csv.open_csv(
            pa.PythonFile(self._lines, "r"),
            read_options=pa_csv.ReadOptions(column_names=self.names, block_size=BLOCK_BYTES, use_threads=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=True
            ),
        ) as reader:
            for batch in reader:
                yield pa.RecordBatch.from_pydict(
                    {column.name: convert(batch[name], column.type) for name, column in columns.items()}
                )

    def _first_error(self, columns: Mapping[str, Column], skip_rows: int) -> InvalidFile | None:
        """Reads the file again, slowly. A damaged gzip raises first, as the cause of every other error."""
        with _open_lines(self._path, self._file) as lines:
            error = first_error(lines, lines.header, columns, self._file, skip_rows)
            while lines.read(BLOCK_BYTES):
                pass
            return error


@contextmanager
def open_csv(path: Path, file: str) -> Iterator[CsvFile]:
    """Opens a CSV file and reads its header.

    Args:
        path: Where the file is.
        file: Its name, for errors.

    Raises:
        InvalidFile: On opening: it is empty or no CSV. Later, while it is read: its gzip is cut off or damaged.
    """
    with _open_lines(path, file) as lines:
        yield CsvFile(path, file, lines)


@contextmanager
def _open_lines(path: Path, file: str) -> Iterator[Lines]:
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


def _require_csv(head: bytes, file: str) -> None:
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
            "login; correct the source's address, in --source or TAXI_SOURCE_URL",
        )
    if b"\0" in head:
        raise InvalidFile(
            "The file is neither CSV nor Parquet.",
            expected="CSV, gzipped or not, or Parquet",
            found=f"bytes that begin {head[:16]!r}",
            where=file,
        )


def _unexplained(file: str, rows: int, error: pa.ArrowInvalid) -> InvalidFile:
    return InvalidFile(
        "The CSV file cannot be read.",
        expected="lines of values, separated by commas",
        found=str(error)[:500],
        where=f"{file}, after row {rows}",
    )
