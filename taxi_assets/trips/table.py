"""The rows of a month on disk: one Parquet file, written and read as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.errors import TransientError

NOTE_KEY = b"taxi_assets"
ROW_GROUP_ROWS = 65_536
"""Rows of a row group. Measured: twice as many cost 20 MB more memory and save 1 % of the file."""


@dataclass(frozen=True)
class TripTable:
    """Rows of a month in one Parquet file on disk.

    Attributes:
        path: The file.
    """

    path: Path

    @cached_property
    def _footer(self) -> pq.FileMetaData:
        return pq.read_metadata(self.path)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self._footer.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """Its columns, each with its description; without the platform's note."""
        return self._footer.schema.to_arrow_schema().remove_metadata()

    @property
    def note(self) -> Mapping[str, Any]:
        """What is noted of it in its footer: where the rows came from, the summary of the cleaning."""
        return dict(json.loads((self._footer.metadata or {}).get(NOTE_KEY, b"{}")))

    def batches(self, rows: int = 65_536, *, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Its rows in order, that many at a time.

        Args:
            rows: Rows of a batch, at most.
            columns: The columns to read; all of them where it is left out.
        """
        with pq.ParquetFile(self.path, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(rows, columns=columns, use_threads=False):
                yield batch.replace_schema_metadata(None)

    def reader(self, rows: int = 65_536) -> pa.RecordBatchReader:
        """Its rows as a reader, for libraries that take Arrow streams."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches(rows))


class TableWriter:
    """Writes a `TripTable`; gathers batches of any size into row groups, each written while the next one is read."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._gathered: list[pa.RecordBatch] = []
        self._gathered_rows = 0
        self._thread = ThreadPoolExecutor(1)
        self._under_way: Future[None] | None = None
        # Times hardly repeat: a dictionary of them costs time and, measured, a quarter more bytes.
        repeating = [field.name for field in schema if not pa.types.is_timestamp(field.type)]
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=repeating)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows."""
        self._gathered.append(batch)
        self._gathered_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._gathered_rows >= ROW_GROUP_ROWS:
            self._write_row_group()

    def _write_row_group(self) -> None:
        self._wait()
        if self._gathered_rows:
            group = pa.Table.from_batches(self._gathered)
            self._under_way = self._thread.submit(self._writer.write_table, group, self._gathered_rows)
        self._gathered, self._gathered_rows = [], 0

    def _wait(self) -> None:
        if self._under_way:
            with _clear_disk_errors(self.path):
                self._under_way.result()
        self._under_way = None

    def finish(self, note: Mapping[str, Any]) -> TripTable:
        """Completes the file with its note in the footer."""
        self._write_row_group()
        self._wait()
        self._thread.shutdown()
        self._writer.add_key_value_metadata({NOTE_KEY: json.dumps(note).encode()})
        with _clear_disk_errors(self.path):
            self._writer.close()
        return TripTable(self.path)

    def abandon(self) -> None:
        """Closes and removes the file, whole or not."""
        self._thread.shutdown()
        with suppress(OSError):
            self._writer.close()
        self.path.unlink(missing_ok=True)


@contextmanager
def _clear_disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransientError(
            "A cleaned month could not be written to disk.",
            expected="a folder that can be written to, on a disk with space",
            found=str(error),
            where=str(path),
            intact="every month that was loaded before",
            next_step="make room on that disk, or let TAXI_HOME point to another",
        ) from error


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """A writer of a new file, which is removed when the block raises.

    Args:
        path: The file to write; one that is there is replaced.
        schema: The rows' schema; the fields' metadata is kept.
    """
    writer = TableWriter(path, schema)
    try:
        yield writer
    except BaseException:
        writer.abandon()
        raise
