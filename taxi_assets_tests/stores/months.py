"""Small cleaned months of yellow trips, on their way into a store."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from taxi_assets.stores.month import MonthOfTrips
from taxi_assets.trips.clean import clean_file
from taxi_assets.trips.columns import YELLOW
from taxi_assets.trips.months import month_name
from taxi_assets_tests.trips.made import RULES, csv_file, line

JANUARY = date(2021, 1, 1)
FEBRUARY = date(2021, 2, 1)


def cleaned(
    folder: Path, schema: str, kept: int = 3, rejected: int = 2, *, month: date = JANUARY, amount: str = "11.8"
) -> MonthOfTrips:
    """A month with that many kept and rejected rows; each kept trip costs that amount."""
    folder = folder / f"{month_name(month)}-{kept}-{rejected}-{amount}"
    folder.mkdir(parents=True)
    lines = [line(total_amount=amount)] * kept + [line(passenger_count="0")] * rejected
    note = {
        "source": {"url": "http://source/file.csv.gz", "sha256": "ab12", "etag": "e", "bytes": 12},
        "cleaning": "version",
    }
    cleaning = clean_file(
        csv_file(folder, *lines),
        name="made.csv.gz",
        service=YELLOW,
        month=month,
        rules=RULES["yellow"],
        folder=folder,
        note=note,
    )
    return MonthOfTrips(
        YELLOW, month, cleaning.kept, cleaning.rejected, schema, "yellow_cab_data", run_id="run-1", started_by="a test"
    )
