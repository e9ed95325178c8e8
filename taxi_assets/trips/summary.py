"""What the cleaning of a month counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.trips.cents import cents
from taxi_assets.trips.columns import Service
from taxi_assets.trips.months import next_month
from taxi_assets.trips.rules import Rule
from taxi_assets.trips.scalars import day


@dataclass(frozen=True)
class Summary:
    """The counts of one month's cleaning.

    Attributes:
        rows_read: Rows of the file.
        rows_kept: Rows that no rule rejected.
        rejected: Rows rejected, by reason; each rule's reason is there, be it with 0.
        cents_kept: The sum of whole cents of `total_amount` of the kept rows.
        cents_rejected: The same of the rejected rows.
        pickups_outside: Kept rows whose pickup is not in the file's month (missing included).
        vendors: Kept rows by `vendor_id`; `null` stands for a missing one.
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
        """Itself in JSON's terms."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Summary:
        """The summary that `to_json` wrote; a name it does not know is an error."""
        return cls(**data)


@dataclass
class SummaryBuilder:
    """Counts while the rows go by."""

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

    def keep(self, kept: pa.RecordBatch) -> None:
        """Counts kept rows."""
        pickups = kept[self.service.pickup]
        start, end = (day(first).cast(pickups.type) for first in (self.month, next_month(self.month)))
        inside = pc.and_(pc.greater_equal(pickups, start), pc.less(pickups, end))
        self.rows_kept += kept.num_rows
        self.cents_kept += cents(kept)
        self.pickups_inside += inside.true_count
        for vendor, rows in _counts(kept["vendor_id"]):
            self.vendors["null" if vendor is None else str(vendor)] += rows
        self.hours.update(dict(_counts(pc.hour(pickups))))

    def reject(self, rejected: pa.RecordBatch) -> None:
        """Counts rejected rows."""
        self.cents_rejected += cents(rejected)
        self.reasons.update(dict(_counts(rejected["reason"])))

    def summary(self, unknown: Sequence[str], absent: Sequence[str]) -> Summary:
        """The counts so far."""
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
