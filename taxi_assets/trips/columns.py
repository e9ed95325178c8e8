"""The registry: every column of the trip records, declared once.

Arrow types, PostgreSQL's DDL, the BigQuery schema and Dagster's column schemas come from this module. The names and
meanings are those of the TLC's data dictionaries, https://www.nyc.gov/site/tlc/about/tlc-trip-record-data.page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import pyarrow as pa

FIRST_MONTH = date(2019, 1, 1)
"""The oldest month of the platform: the first with zone ids in every file and a congestion surcharge."""


class ColumnType(StrEnum):
    """The type of a column, in terms that every store has."""

    SMALLINT = "smallint"
    DOUBLE = "double"
    TEXT = "text"
    DATETIME = "datetime"
    """A wall-clock time in New York, without a zone, as the TLC publishes it."""
    DATE = "date"
    BIGINT = "bigint"

    @property
    def arrow(self) -> pa.DataType:
        """Its Arrow type."""
        return _ARROW[self]

    @property
    def postgres(self) -> str:
        """Its PostgreSQL type."""
        return _POSTGRES[self]

    @property
    def bigquery(self) -> str:
        """Its BigQuery type."""
        return _BIGQUERY[self]


_ARROW = {
    ColumnType.SMALLINT: pa.int16(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.DATETIME: pa.timestamp("us"),
    ColumnType.DATE: pa.date32(),
    ColumnType.BIGINT: pa.int64(),
}
_POSTGRES = {
    ColumnType.SMALLINT: "smallint",
    ColumnType.DOUBLE: "double precision",
    ColumnType.TEXT: "text",
    ColumnType.DATETIME: "timestamp without time zone",
    ColumnType.DATE: "date",
    ColumnType.BIGINT: "bigint",
}
_BIGQUERY = {
    ColumnType.SMALLINT: "INT64",
    ColumnType.DOUBLE: "FLOAT64",
    ColumnType.TEXT: "STRING",
    ColumnType.DATETIME: "DATETIME",
    ColumnType.DATE: "DATE",
    ColumnType.BIGINT: "INT64",
}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name in the stores, the TLC's in snake_case.
        type: Its type in every store.
        description: What it means.
        sources: Its names in the files, any of them; empty for a column that the platform adds.
        unit: The unit of its values, where they have one.
        required_from: The first month whose file must have it; None: it may be missing in any file, and is null then.
        required_until: The last month whose file must have it; None: to this day.
        values: The values that the TLC defines, with their meanings.
        day_of: The column of a time whose day this is, for a column that is derived so.
    """

    name: str
    type: ColumnType
    description: str
    sources: tuple[str, ...] = ()
    unit: str | None = None
    required_from: date | None = None
    required_until: date | None = None
    values: dict[int, str] = field(default_factory=dict)
    day_of: str | None = None

    def required(self, month: date) -> bool:
        """Whether the file of that month must have it."""
        return (
            self.required_from is not None
            and self.required_from <= month
            and (self.required_until is None or month <= self.required_until)
        )

    @property
    def comment(self) -> str:
        """Description, unit and values in one text, as the stores show it."""
        unit = f" Unit: {self.unit}." if self.unit else ""
        values = "; ".join(f"{value} = {meaning}" for value, meaning in self.values.items())
        return f"{self.description}{unit}{f' Values: {values}.' if values else ''}"


@dataclass(frozen=True)
class Service:
    """A taxi service and the columns of its trips.

    Attributes:
        name: As in the file names: `yellow`.
        title: For people: `Yellow taxis`.
        columns: The columns of a trip in the order of the tables; `source_month` is the last.
        pickup: The name of the column with the time of pickup.
        dropoff: The name of the column with the time of dropoff.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    pickup: str
    dropoff: str

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of cleaned trips."""
        return arrow_schema(self.columns)

    @property
    def rejected_columns(self) -> tuple[Column, ...]:
        """The columns of rejected rows: those of the trips, then `reason` and `source_row`."""
        return (*self.columns, REASON, SOURCE_ROW)

    @property
    def rejected_schema(self) -> pa.Schema:
        """The Arrow schema of rejected rows."""
        return arrow_schema(self.rejected_columns)

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            KeyError: The service has none.
        """
        return {column.name: column for column in self.rejected_columns}[name]


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Arrow fields in the columns' order, all nullable, each with its description as metadata."""
    return pa.schema(
        [pa.field(column.name, column.type.arrow, metadata={"description": column.comment}) for column in columns]
    )


SOURCE_MONTH = Column(
    "source_month",
    ColumnType.DATE,
    "Month of the TLC's file that the trip stands in, as the date of its first day: the key of a load. The pickup may "
    "lie in another month.",
)
REASON = Column("reason", ColumnType.TEXT, "Why the row was left out: the first rule of the pipeline that it broke.")
SOURCE_ROW = Column("source_row", ColumnType.BIGINT, "Row of the source file, from 1, its header not counted.")

_DOLLARS = "US dollars"
_VENDORS = {
    1: "Creative Mobile Technologies",
    2: "Curb Mobility (VeriFone)",
    6: "Myle Technologies",
    7: "Helix",
}
_RATES = {
    1: "standard", 2: "JFK", 3: "Newark", 4: "Nassau or Westchester", 5: "negotiated", 6: "group ride", 99: "unknown",
}  # fmt: skip
_PAYMENTS = {0: "flex fare", 1: "card", 2: "cash", 3: "no charge", 4: "dispute", 5: "unknown", 6: "voided"}


def _column(name: str, type: ColumnType, description: str, *sources: str, **more: object) -> Column:
    """A column that every file must have, unless `more` says otherwise."""
    return Column(name, type, description, sources, **{"required_from": FIRST_MONTH, **more})  # type: ignore[arg-type]


def _money(name: str, description: str, **more: object) -> Column:
    return _column(name, ColumnType.DOUBLE, description, name, unit=_DOLLARS, **more)


_VENDOR = _column(
    "vendor_id", ColumnType.SMALLINT, "The provider of the taxi's technology.", "VendorID", values=_VENDORS
)
_FLAG = _column(
    "store_and_fwd_flag",
    ColumnType.TEXT,
    "Y: the record was held in the vehicle before it was sent, for want of a connection; N: it was not.",
    "store_and_fwd_flag",
)
_RATE = _column(
    "ratecode_id", ColumnType.SMALLINT, "The rate in effect at the trip's end.", "RatecodeID", values=_RATES
)
_PU = _column("pu_location_id", ColumnType.SMALLINT, "TLC taxi zone of the pickup.", "PULocationID")
_DO = _column("do_location_id", ColumnType.SMALLINT, "TLC taxi zone of the dropoff.", "DOLocationID")
_PASSENGERS = _column(
    "passenger_count",
    ColumnType.SMALLINT,
    "Passengers in the vehicle, as the driver entered it.",
    "passenger_count",
    unit="persons",
)
_DISTANCE = _column("trip_distance", ColumnType.DOUBLE, "Distance by the taximeter.", "trip_distance", unit="miles")
_PAYMENT = _column("payment_type", ColumnType.SMALLINT, "How the passenger paid.", "payment_type", values=_PAYMENTS)
_FARE = _money("fare_amount", "Time-and-distance fare by the meter; negative in a correction.")
_EXTRA = _money("extra", "Extras and surcharges, such as rush hour and overnight.")
_MTA = _money("mta_tax", "Tax of the Metropolitan Transportation Authority.")
_TIP = _money("tip_amount", "Tip, of card payments only.")
_TOLLS = _money("tolls_amount", "Tolls of the trip.")
_IMPROVEMENT = _money("improvement_surcharge", "Improvement surcharge at the flag drop.")
_TOTAL = _money("total_amount", "What the passenger was charged, without cash tips.")
_CONGESTION = _money("congestion_surcharge", "Congestion surcharge of New York State.")
_CBD = _money(
    "cbd_congestion_fee",
    "Charge of the MTA's congestion relief zone, since January 2025.",
    required_from=date(2025, 1, 1),
)


def _times(prefix: str) -> tuple[Column, Column]:
    pickup, dropoff = f"{prefix}_pickup_datetime", f"{prefix}_dropoff_datetime"
    return (
        _column(pickup, ColumnType.DATETIME, "When the meter was engaged, New York time.", pickup),
        _column(dropoff, ColumnType.DATETIME, "When the meter was disengaged, New York time.", dropoff),
    )


YELLOW = Service(
    name="yellow",
    title="Yellow taxis",
    pickup="tpep_pickup_datetime",
    dropoff="tpep_dropoff_datetime",
    columns=(
        _VENDOR,
        *_times("tpep"),
        _PASSENGERS,
        _DISTANCE,
        _RATE,
        _FLAG,
        _PU,
        _DO,
        _PAYMENT,
        _FARE,
        _EXTRA,
        _MTA,
        _TIP,
        _TOLLS,
        _IMPROVEMENT,
        _TOTAL,
        _CONGESTION,
        Column(
            "airport_fee",
            ColumnType.DOUBLE,
            "Fee for pickups at LaGuardia and JFK; in the TLC's Parquet files only.",
            ("airport_fee", "Airport_fee"),
            unit=_DOLLARS,
        ),
        _CBD,
        SOURCE_MONTH,
    ),
)

GREEN = Service(
    name="green",
    title="Green taxis",
    pickup="lpep_pickup_datetime",
    dropoff="lpep_dropoff_datetime",
    columns=(
        _VENDOR,
        *_times("lpep"),
        _FLAG,
        _RATE,
        _PU,
        _DO,
        _PASSENGERS,
        _DISTANCE,
        _FARE,
        _EXTRA,
        _MTA,
        _TIP,
        _TOLLS,
        Column(
            "ehail_fee",
            ColumnType.DOUBLE,
            "Fee for a trip hailed by app; always empty so far.",
            ("ehail_fee",),
            unit=_DOLLARS,
        ),
        _IMPROVEMENT,
        _TOTAL,
        _PAYMENT,
        _column(
            "trip_type",
            ColumnType.SMALLINT,
            "Whether the taxi was hailed on the street or dispatched.",
            "trip_type",
            values={1: "street hail", 2: "dispatch"},
        ),
        _CONGESTION,
        _CBD,
        Column(
            "lpep_pickup_date",
            ColumnType.DATE,
            "Day of the pickup, New York time: from lpep_pickup_datetime.",
            day_of="lpep_pickup_datetime",
        ),
        SOURCE_MONTH,
    ),
)

SERVICES = {service.name: service for service in (YELLOW, GREEN)}
"""The services that the registry describes, by name."""
