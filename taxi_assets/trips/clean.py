"""Cleaning a month: one pass over its file, which parts the rows that are kept from those that are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.errors import TaxiError
from taxi_assets.trips.columns import Service
from taxi_assets.trips.reading.read import read_trips
from taxi_assets.trips.rules import Rule, check_rules, matching_rules
from taxi_assets.trips.scalars import integer, texts
from taxi_assets.trips.summary import Summary, SummaryBuilder
from taxi_assets.trips.table import TripTable, table_writer

__all__ = ["Cleaning", "Summary", "clean_file"]


@dataclass(frozen=True)
class Cleaning:
    """A cleaned month.

    Attributes:
        kept: The rows that no rule rejected, in the service's schema.
        rejected: The others, with all their columns, `reason` and `source_row`.
        summary: What was counted.
    """

    kept: TripTable
    rejected: TripTable
    summary: Summary


def clean_file(
    path: Path,
    *,
    name: str,
    service: Service,
    month: date,
    rules: Sequence[Rule],
    folder: Path,
    note: Mapping[str, Any],
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Cleaning:
    """Reads a month's file once and writes its rows to `kept.parquet` and `rejected.parquet`.

    Memory does not grow with the month. On any error neither file is left.

    Args:
        path: The month's file, CSV or Parquet.
        name: Its name, for errors.
        service: The service whose trips it holds.
        month: Its month.
        rules: Tried in order; the first that fits a row gives the reason.
        folder: Where to write; made where it is missing.
        note: What to note in both footers, in JSON's terms, besides the summary, which stands there as `summary`.
        limit: Read only the first so many rows.
        progress: Told the rows read so far, batch by batch.

    Raises:
        InvalidFile: The file cannot be read; says where and why.
        TaxiError: A rule does not suit the service.
    """
    check_rules(rules, service)
    folder.mkdir(parents=True, exist_ok=True)
    tally = SummaryBuilder(service, month, rules)
    with (
        read_trips(path, file=name, service=service, month=month) as reading,
        table_writer(folder / "kept.parquet", service.schema) as kept_rows,
        table_writer(folder / "rejected.parquet", service.rejected_schema) as rejected_rows,
    ):
        for batch in _ahead(_first(reading.batches, limit)):
            kept, rejected = _part(batch, rules, service.rejected_schema, tally.rows_read)
            tally.rows_read += batch.num_rows
            tally.keep(kept)
            kept_rows.write(kept)
            if rejected.num_rows:
                tally.reject(rejected)
                rejected_rows.write(rejected)
            if progress:
                progress(tally.rows_read)
        summary = tally.summary(reading.match.unknown, reading.match.absent)
        _reconcile(summary, kept_rows.rows, rejected_rows.rows, name)
        full_note = {**note, "summary": summary.to_json()}
        return Cleaning(kept_rows.finish(full_note), rejected_rows.finish(full_note), summary)


def _first(batches: Iterator[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    left = limit
    for batch in batches:
        yield batch if left is None else batch.slice(0, left)
        if left is not None:
            left -= batch.num_rows
            if left <= 0:
                return


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, each read while the one before is worked on."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def _part(
    batch: pa.RecordBatch, rules: Sequence[Rule], rejected_schema: pa.Schema, rows_before: int
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    broken = matching_rules(batch, rules)
    is_kept = pc.is_null(broken)
    is_rejected = pc.invert(is_kept)
    rejected = batch.filter(is_rejected)
    reasons = texts([rule.reason for rule in rules]).take(broken.filter(is_rejected))
    source_rows = pc.add(pc.indices_nonzero(is_rejected).cast(pa.int64()), integer(rows_before + 1))
    return batch.filter(is_kept), pa.RecordBatch.from_arrays(
        [*rejected.columns, reasons, source_rows], schema=rejected_schema
    )


def _reconcile(summary: Summary, kept: int, rejected: int, name: str) -> None:
    if summary.rows_read != kept + rejected or (summary.rows_kept, summary.rows_rejected) != (kept, rejected):
        raise TaxiError(
            "Rows were lost while the month was cleaned.",
            expected=f"{summary.rows_read} rows, as many as were read",
            found=f"{kept} kept and {rejected} rejected",
            where=name,
            intact="every month that was loaded before",
            next_step="report this: it is a mistake in taxi_assets",
        )
