"""A service and its columns: Arrow types, PostgreSQL's DDL, the BigQuery schema and Dagster's column schemas.

`registry` reads them from the YAML files in `taxi_assets/services`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

AMOUNT = "total_amount"
"""The name of the column of money: a month is compared in its whole cents where the service has it."""
CENTS_SQL = f"coalesce(sum(floor({AMOUNT} * 100 + 0.5)), 0)"
"""The sum of whole cents in SQL, as `values.cents` adds them up; a store casts it to its 64-bit integer."""
VENDOR = "vendor_id"
ZONES = ("pu_location_id", "do_location_id")
"""The names of the columns that hold zones of the TLC's lookup."""


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
        import pyarrow as pa

        return pa.type_for_alias(_ARROW[self])

    @property
    def postgres(self) -> str:
        """Its PostgreSQL type."""
        return _POSTGRES[self]

    @property
    def bigquery(self) -> str:
        """Its BigQuery type."""
        return _BIGQUERY[self]


_ARROW = {
    ColumnType.SMALLINT: "int16",
    ColumnType.DOUBLE: "double",
    ColumnType.TEXT: "string",
    ColumnType.DATETIME: "timestamp[us]",
    ColumnType.DATE: "date32",
    ColumnType.BIGINT: "int64",
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
        first_month: The first month whose file the columns describe.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    pickup: str
    dropoff: str
    first_month: date

    @property
    def has_amounts(self) -> bool:
        """Whether its trips have amounts of money; else its months are compared in rows alone, with 0 cents."""
        return has_amounts(self.columns)

    @property
    def zones(self) -> tuple[str, ...]:
        """The names of its columns with zones of the TLC's lookup."""
        names = {column.name for column in self.columns}
        return tuple(name for name in ZONES if name in names)

    @property
    def vendors(self) -> Mapping[int, str]:
        """The vendors that the TLC defines; empty where its trips name none."""
        return next((column.values for column in self.columns if column.name == VENDOR), {})

    @property
    def day(self) -> Column | None:
        """The column with the day of pickup; None: it has none."""
        return next((column for column in self.columns if column.day_of == self.pickup), None)

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


class Named(Protocol):
    """A column of the registry, or of a store."""

    @property
    def name(self) -> str:
        """Its name."""


def has_amounts(columns: Iterable[Named]) -> bool:
    """Whether one of the columns is that of money."""
    return any(column.name == AMOUNT for column in columns)


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Arrow fields in the columns' order, all nullable, each with its description as metadata."""
    import pyarrow as pa

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
