"""Two versions of a month's file, and what a store holds of each."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass

import pandas as pd

from taxi_assets_tests.real_months import EXCERPTS

NAMES = ("A", "B")


@dataclass(frozen=True)
class State:
    """What a store holds of a month.

    Attributes:
        rows: The kept rows.
        cents: Whole cents of their `total_amount`.
        rejected: The rejected rows.
    """

    rows: int
    cents: int
    rejected: int


@dataclass(frozen=True)
class Month:
    """A month of a service in two versions.

    Attributes:
        service: `yellow` or `green`.
        name: `2021-01`.
        table: Its table in PostgreSQL and BigQuery.
        bodies: Version → the published file.
        states: Version → what a store holds of it, counted with pandas.
    """

    service: str
    name: str
    table: str
    bodies: dict[str, bytes]
    states: dict[str, State]

    @property
    def path(self) -> str:
        """The path of the file at the source."""
        return f"/{self.service}/{self.service}_tripdata_{self.name}.csv.gz"


def months(copies: int) -> list[Month]:
    """Yellow and green, of which the lake has one object a month and one folder a day.

    Args:
        copies: How many times version A repeats the rows of the excerpt.
    """
    tables = {"yellow": ("2021-01", "ny_taxi.yellow_cab_data"), "green": ("2020-04", "mage.green_taxi")}
    return [_month(service, name, table, copies) for service, (name, table) in tables.items()]


def _month(service: str, name: str, table: str, copies: int) -> Month:
    lines = gzip.decompress(EXCERPTS.path(service, name).read_bytes()).splitlines(keepends=True)
    header, rows = lines[0], lines[1:]
    # B leaves out every third row, and thereby changes most days of green.
    texts = {"A": header + b"".join(rows * copies), "B": header + b"".join(rows[::3] + rows[1::3])}
    bodies = {version: gzip.compress(text, 1, mtime=0) for version, text in texts.items()}
    states = {version: _state(service, text) for version, text in texts.items()}
    assert states["A"] != states["B"]
    return Month(service, name, table, bodies, states)


def _state(service: str, text: bytes) -> State:
    trips = pd.read_csv(io.BytesIO(text), low_memory=False)
    keeps = trips["passenger_count"] > 0
    if service == "green":
        keeps &= trips["trip_distance"] > 0
    kept = trips[keeps]
    return State(len(kept), int((kept["total_amount"] * 100).round().sum()), len(trips) - len(kept))
