"""The cleaning of a month: one pass over its file splits kept from rejected rows and counts both; and its checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from taxi_assets.errors import TaxiError
from taxi_assets.trips.columns import VENDOR, ZONES, Service
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.months import month_name, next_month
from taxi_assets.trips.reading.read import read_trips
from taxi_assets.trips.rules import Rule, check_rules, matching_rules
from taxi_assets.trips.table import Summary, TripTable, table_writer
from taxi_assets.trips.values import cents, day, integer, texts

ROWS_OF_A_MONTH = 100
"""Kept rows from which on a file must lie in its month. Published months have thousands."""


@dataclass(frozen=True)
class Cleaning:
    """A cleaned month.

    Attributes:
        kept: The rows that no rule rejected, in the service's schema.
        rejected: The other rows, with all their columns, `reason` and `source_row`.
        summary: The counts.
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
    metadata: Mapping[str, Any],
    limit: int | None = None,
    least_inside: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> Cleaning:
    """Reads a month's file once, and writes its rows to `kept.parquet` and `rejected.parquet`.

    Memory does not grow with the month. An error removes both files.

    Args:
        path: The month's file, CSV or Parquet.
        name: Its name, for errors.
        service: The service whose trips it holds.
        month: Its month.
        rules: Tried in order; the first that matches a row gives the reason.
        folder: Where to write; made where it is missing.
        metadata: Written to both footers as JSON, with the summary as `summary`.
        limit: Read only this many rows.
        least_inside: The share of kept pickups that must lie in the month: see `refuse_other_month`.
        progress: Called with the number of rows read so far, batch by batch.

    Raises:
        InvalidFile: The file cannot be read, or is of another month; names the place and the reason.
        TaxiError: A rule does not suit the service.
    """
    check_rules(rules, service)
    folder.mkdir(parents=True, exist_ok=True)
    counts = SummaryBuilder(service, month, rules)
    with (
        read_trips(path, file=name, service=service, month=month) as reading,
        table_writer(folder / "kept.parquet", service.schema) as kept_rows,
        table_writer(folder / "rejected.parquet", service.rejected_schema) as rejected_rows,
    ):
        for batch in _ahead(_first(reading.batches, limit)):
            kept, rejected = _split(batch, rules, service.rejected_schema, counts.rows_read)
            counts.rows_read += batch.num_rows
            counts.keep(kept)
            kept_rows.write(kept)
            if rejected.num_rows:
                counts.reject(rejected)
                rejected_rows.write(rejected)
            if progress:
                progress(counts.rows_read)
        counts.refuse_other_month(least_inside, name)
        summary = counts.summary(reading.match.unknown, reading.match.absent)
        _reconcile(summary, kept_rows.rows, rejected_rows.rows, name)
        full_metadata = {**metadata, "summary": summary.to_json()}
        return Cleaning(kept_rows.finish(full_metadata), rejected_rows.finish(full_metadata), summary)


@dataclass
class SummaryBuilder:
    """Counts rows for a `Summary`, batch by batch."""

    service: Service
    month: date
    rules: Sequence[Rule]
    rows_read: int = 0
    rows_kept: int = 0
    cents_kept: int = 0
    cents_rejected: int = 0
    pickups_inside: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    vendors: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)
    months_outside: Counter[int] = field(default_factory=Counter)

    def keep(self, kept: pa.RecordBatch) -> None:
        """Counts kept rows."""
        pickups = kept[self.service.pickup]
        start, end = (day(first).cast(pickups.type) for first in (self.month, next_month(self.month)))
        inside = pc.and_(pc.greater_equal(pickups, start), pc.less(pickups, end))
        self.rows_kept += kept.num_rows
        self.cents_kept += cents(kept)
        self.pickups_inside += inside.true_count
        if outside := kept.num_rows - inside.true_count:
            stray = pickups.filter(pc.invert(inside)) if outside < kept.num_rows else pickups
            months = pc.add(pc.multiply(pc.year(stray), integer(12)), pc.subtract(pc.month(stray), integer(1)))
            self.months_outside.update({month: rows for month, rows in _counts(months) if month is not None})
        if self.service.vendors:
            for vendor, rows in _counts(kept[VENDOR]):
                self.vendors["null" if vendor is None else str(vendor)] += rows
        self.hours.update(dict(_counts(pc.hour(pickups))))

    def reject(self, rejected: pa.RecordBatch) -> None:
        """Counts rejected rows."""
        self.cents_rejected += cents(rejected)
        self.reasons.update(dict(_counts(rejected["reason"])))

    def refuse_other_month(self, least_inside: float, file: str) -> None:
        """Refuses a file that lies in another month than its name says. A handful of rows says nothing about that.

        Raises:
            InvalidFile: A smaller share of the pickups than that is in the month; it names the month of most.
        """
        if self.rows_kept < ROWS_OF_A_MONTH or self.pickups_inside >= least_inside * self.rows_kept:
            return
        most = [f"{rows:,} in {month // 12}-{month % 12 + 1:02d}" for month, rows in self.months_outside.most_common(1)]
        found = most[0] if most else "no pickup at all"
        raise InvalidFile(
            f"The file of {self.service.name} {month_name(self.month)} is of another month.",
            expected=f"at least {least_inside:.0%} of the {self.rows_kept:,} pickups in {month_name(self.month)}",
            found=f"{self.pickups_inside:,} of them there; {found}",
            where=file,
            next_step="see which file the source publishes under this name; if it is right all the same, lower "
            "least_pickups_inside in the YAML of the pipeline",
        )

    def summary(self, unknown: Sequence[str], absent: Sequence[str]) -> Summary:
        """The summary of what was counted so far."""
        return Summary(
            rows_read=self.rows_read,
            rows_kept=self.rows_kept,
            rejected={rule.reason: self.reasons[rule.reason] for rule in self.rules},
            cents_kept=self.cents_kept,
            cents_rejected=self.cents_rejected,
            pickups_outside=self.rows_kept - self.pickups_inside,
            vendors=dict(sorted(self.vendors.items())),
            trips_by_hour=[self.hours[hour] for hour in range(24)],
            unknown_columns=list(unknown),
            absent_columns=list(absent),
        )


def _counts(values: pa.Array) -> list[tuple[Any, int]]:
    counted = pc.value_counts(values)
    return list(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _first(batches: Iterator[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    left = limit
    for batch in batches:
        yield batch if left is None else batch.slice(0, left)
        if left is not None:
            left -= batch.num_rows
            if left <= 0:
                return


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, each read while the caller works on the one before."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = thread.submit(next, batches, None)
            yield batch


def _split(
    batch: pa.RecordBatch, rules: Sequence[Rule], rejected_schema: pa.Schema, rows_before: int
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    matches = matching_rules(batch, rules)
    is_kept = pc.is_null(matches)
    is_rejected = pc.invert(is_kept)
    rejected = batch.filter(is_rejected)
    reasons = texts([rule.reason for rule in rules]).take(matches.filter(is_rejected))
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


def rule_violations(table: TripTable, rules: Sequence[Rule]) -> int:
    """The number of rows that match a rule that should have rejected them. Reads only the rules' columns."""
    columns = sorted({rule.column for rule in rules})
    return sum(pc.count(matching_rules(batch, rules)).as_py() for batch in table.batches(columns=columns))


def unknown_zones(table: TripTable, lookup: Path) -> list[int]:
    """The zone ids of pickups and dropoffs that the TLC's zone lookup does not have, sorted; without missing ids.

    Args:
        table: The trips.
        lookup: The file `taxi_zone_lookup.csv`, with a column `LocationID`.
    """
    known = set(csv.read_csv(lookup).column("LocationID").to_pylist())
    used: set[int] = set()
    for batch in table.batches(columns=[name for name in ZONES if name in table.schema.names]):
        for column in batch.columns:
            used.update(pc.unique(column).drop_null().to_pylist())
    return sorted(used - known)
