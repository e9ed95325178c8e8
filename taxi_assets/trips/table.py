"""The rows of a month on disk, with the summary of their cleaning: one Parquet file, written and read as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.errors import TransientError
from taxi_assets.trips.columns import Service

METADATA_KEY = b"taxi_assets"
"""The key of the platform's metadata in a file's footer."""
ROW_GROUP_ROWS = 65_536
"""Rows of a row group. Measured: twice as many cost 20 MB more memory and save 1 % of the file."""


@dataclass(frozen=True)
class Summary:
    """The counts of one month's cleaning.

    Attributes:
        rows_read: Rows of the file.
        rows_kept: Rows that no rule rejected.
        rejected: Rows rejected, by reason; every rule's reason has an entry, also with 0.
        cents_kept: The sum of whole cents of `total_amount` of the kept rows; 0 where the service has no amounts.
        cents_rejected: The same of the rejected rows.
        pickups_outside: Kept rows whose pickup is not in the file's month (missing included).
        vendors: Kept rows by `vendor_id`; `null` stands for a missing one. Empty where the service has none.
        trips_by_hour: Kept rows by the hour of their pickup, 0 to 23; a missing pickup is in none.
        unknown_columns: Columns of the file that the registry does not have: left out.
        absent_columns: Optional columns that the file does not have: null.
    """

    rows_read: int
    rows_kept: int
    rejected: dict[str, int]
    cents_kept: int
    cents_rejected: int
    pickups_outside: int
    vendors: dict[str, int]
    trips_by_hour: list[int]
    unknown_columns: list[str]
    absent_columns: list[str]

    @property
    def rows_rejected(self) -> int:
        """Rows that a rule rejected."""
        return sum(self.rejected.values())

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Summary:
        """Reads what `to_json` wrote; an unknown name is an error."""
        return cls(**data)

    def unknown_vendors(self, service: Service) -> list[str]:
        """The vendors of the kept rows that the TLC does not define; a missing vendor is not one of them."""
        defined = {str(value) for value in service.vendors} | {"null"}
        return [vendor for vendor in self.vendors if vendor not in defined]


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
        """Its row count."""
        return int(self._footer.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """Its columns, each with its description, without the platform's metadata."""
        return self._footer.schema.to_arrow_schema().remove_metadata()

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The platform's metadata in its footer: the source of the rows, the summary of the cleaning."""
        return dict(json.loads((self._footer.metadata or {}).get(METADATA_KEY, b"{}")))

    @property
    def summary(self) -> Summary:
        """The summary of the cleaning that wrote it."""
        return Summary.from_json(self.metadata["summary"])

    def batches(self, rows: int = 65_536, *, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Its rows in order.

        Args:
            rows: Rows of a batch, at most.
            columns: The columns to read; None: all.
        """
        with pq.ParquetFile(self.path, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(rows, columns=columns, use_threads=False):
                yield batch.replace_schema_metadata(None)

    def reader(self, rows: int = 65_536) -> pa.RecordBatchReader:
        """Its rows as an Arrow stream."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches(rows))


class TableWriter:
    """Writes a `TripTable`: collects batches into row groups, and writes each while the next one is collected."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        # Times hardly repeat: a dictionary of them costs time and, measured, a quarter more bytes.
        repeating = [field.name for field in schema if not pa.types.is_timestamp(field.type)]
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=repeating)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows."""
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._pending_rows >= ROW_GROUP_ROWS:
            self._write_row_group()

    def _write_row_group(self) -> None:
        self._wait()
        if self._pending_rows:
            group = pa.Table.from_batches(self._pending)
            self._writing = self._thread.submit(self._writer.write_table, group, self._pending_rows)
        self._pending, self._pending_rows = [], 0

    def _wait(self) -> None:
        if self._writing:
            with _clear_disk_errors(self.path):
                self._writing.result()
        self._writing = None

    def finish(self, metadata: Mapping[str, Any]) -> TripTable:
        """Completes the file, with the metadata in its footer."""
        self._write_row_group()
        self._wait()
        self._thread.shutdown()
        self._writer.add_key_value_metadata({METADATA_KEY: json.dumps(metadata).encode()})
        with _clear_disk_errors(self.path):
            self._writer.close()
        return TripTable(self.path)

    def abandon(self) -> None:
        """Closes and removes the file."""
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
    """Opens a writer of a new file. Removes the file when the block raises.

    Args:
        path: The file to write; an existing one is replaced.
        schema: The rows' schema, with the fields' metadata.
    """
    writer = TableWriter(path, schema)
    try:
        yield writer
    except BaseException:
        writer.abandon()
        raise
