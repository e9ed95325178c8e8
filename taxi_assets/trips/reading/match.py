"""Which of a file's columns are which of the registry's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from taxi_assets.trips.columns import Column, Service
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.months import month_name


@dataclass(frozen=True)
class ColumnMatch:
    """The columns of one file.

    Attributes:
        found: The file's columns that are read: the file's name of each, and the registry's column.
        unknown: The file's columns that the registry does not have: left out.
        absent: The registry's optional columns that the file does not have: null.
    """

    found: Mapping[str, Column]
    unknown: tuple[str, ...]
    absent: tuple[str, ...]


def match_columns(names: Sequence[str], service: Service, month: date, file: str) -> ColumnMatch:
    """Finds the registry's columns among a file's, by the names they have in files.

    Args:
        names: The file's columns, in its order.
        service: The service whose trips the file holds.
        month: The file's month, which decides what is required.
        file: The file's name, for errors.

    Raises:
        InvalidFile: A required column is missing, or a column is there twice.
    """
    columns = {source: column for column in service.columns for source in column.sources}
    found = {name: columns[name] for name in names if name in columns}
    _refuse_duplicates(names, found, file)
    missing = [column for column in service.columns if column.sources and column not in found.values()]
    if required := [column for column in missing if column.required(month)]:
        wanted = ", ".join(" or ".join(column.sources) for column in required)
        raise InvalidFile(
            f"The file lacks the column{'s' if len(required) > 1 else ''} {wanted}.",
            expected=f"{wanted}, which a {service.name} file of {month_name(month)} must have",
            found=f"the columns {_listed(names)}",
            where=file,
            next_step="see that it is a file of this service and month; if the TLC dropped the column, say so in its "
            "`required_until` in taxi_assets/trips/columns.py",
        )
    return ColumnMatch(
        found=found,
        unknown=tuple(name for name in names if name not in columns),
        absent=tuple(column.name for column in missing),
    )


def _refuse_duplicates(names: Sequence[str], found: Mapping[str, Column], file: str) -> None:
    same_name = [name for name, times in Counter(names).items() if times > 1]
    meanings = Counter(column.name for column in found.values())
    same_meaning = [name for name, column in found.items() if meanings[column.name] > 1]
    if twice := same_name or same_meaning:
        raise InvalidFile(
            f"The file has a column twice: {_listed(twice)}.",
            expected="each column once",
            found=f"the columns {_listed(names)}",
            where=file,
        )


def _listed(names: Sequence[str], limit: int = 40) -> str:
    shown = ", ".join(name[:60] for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
