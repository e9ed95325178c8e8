"""Small cleaned months of yellow trips, and the run that loads them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from taxi_assets.stores.month import CleanedMonth, Provenance
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.clean import clean_file
from taxi_assets.trips.months import month_name
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.trips.made import RULES, csv_file, line

JANUARY = date(2021, 1, 1)
FEBRUARY = date(2021, 2, 1)
RUN = Provenance("run-1", "a test")
CLEANING = "version"
"""The version of rules and columns that the months carry."""


def cleaned(
    folder: Path,
    kept: int = 3,
    rejected: int = 2,
    *,
    month: date = JANUARY,
    amount: str = "11.8",
    synthetic: bool = False,
    limit: int | None = None,
) -> CleanedMonth:
    """A month with that many kept and rejected rows; each kept trip costs that amount."""
    folder = folder / f"{month_name(month)}-{kept}-{rejected}-{amount}-{synthetic}-{limit}"
    folder.mkdir(parents=True)
    lines = [line(total_amount=amount)] * kept + [line(passenger_count="0")] * rejected
    metadata = {
        "source": {"url": "http://source/file.csv.gz", "sha256": "ab12", "etag": "e", "bytes": 12, "sample": synthetic},
        "cleaning": CLEANING,
        **({"limit": limit} if limit else {}),
    }
    cleaning = clean_file(
        csv_file(folder, *lines),
        name="made.csv.gz",
        service=YELLOW,
        month=month,
        rules=RULES["yellow"],
        folder=folder,
        metadata=metadata,
    )
    return CleanedMonth(YELLOW, month, cleaning.kept, cleaning.rejected)


def trips_table(schema: str) -> TableRef:
    """The table of yellow trips in a schema."""
    return TableRef(namespace=schema, name="yellow_cab_data")
