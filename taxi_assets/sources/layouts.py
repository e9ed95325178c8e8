"""The two public layouts of the trip files, and the HTTP status of a file that is not published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from taxi_assets.settings import SOURCES
from taxi_assets.sources.addresses import host, join
from taxi_assets.trips.months import month_name

LayoutName = Literal["csv", "parquet"]

ZONE_LOOKUP = "misc/taxi_zone_lookup.csv"
"""The path of the table of taxi zones at both public sources."""


@dataclass(frozen=True)
class Layout:
    """How a source names its files.

    Attributes:
        name: The format of the rows.
        pattern: The path below the source's address, with `{service}` and `{month}`.
    """

    name: LayoutName
    pattern: str

    def path(self, service: str, month: date) -> str:
        """The path of a month's file below the source's address."""
        return self.pattern.format(service=service, month=month_name(month))

    def address(self, base: str, service: str, month: date) -> str:
        """The address of a month's file at a source."""
        return join(base, self.path(service, month))


CSV = Layout("csv", "{service}/{service}_tripdata_{month}.csv.gz")
"""Gzipped CSV, as the mirror of DataTalksClub publishes it."""

PARQUET = Layout("parquet", "trip-data/{service}_tripdata_{month}.parquet")
"""Parquet, as the TLC publishes it."""

LAYOUTS = (CSV, PARQUET)
"""Both, in the order in which they are requested."""


def means_absent(address: str, status: int) -> bool:
    """Whether an HTTP status means that nothing is published at an address.

    The TLC's own host answers 403 for a file that does not exist; elsewhere 403 means that access is refused.
    """
    return status in (404, 410) or (status == 403 and host(address) == host(SOURCES["tlc"]))
