"""The registry: every service and its columns, each declared in a YAML file of `taxi_assets/services`.

A file is read when its service is asked for, once in a process; `forget` lets it be read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, model_validator

from taxi_assets.errors import TaxiError, UsageError
from taxi_assets.trips.columns import (
    AMOUNT,
    REASON,
    SOURCE_MONTH,
    SOURCE_ROW,
    VENDOR,
    ZONES,
    Column,
    ColumnType,
    Service,
)
from taxi_assets.trips.months import month_name, parse_month
from taxi_assets.yaml_files import InvalidYaml, YamlFile
from taxi_assets.yaml_mistakes import Refused, nearest_word, one_of

FOLDER = Path(__file__).parents[1] / "services"
SHARED = "_shared.yaml"
"""The file of the columns that several services have; a service's file names them alone."""

NAME = r"[a-z][a-z0-9_]*"
"""What a service or a column is called."""
_LONGEST_NAME = 63  # in PostgreSQL
_OWN = {column.name for column in (SOURCE_MONTH, REASON, SOURCE_ROW)}
_SYSTEM = ("cmax", "cmin", "ctid", "tableoid", "xmax", "xmin")
"""Columns that every table of PostgreSQL has."""
_NUMBERS = (ColumnType.SMALLINT, ColumnType.BIGINT)
_TYPES = {AMOUNT: (ColumnType.DOUBLE,), VENDOR: _NUMBERS, **dict.fromkeys(ZONES, _NUMBERS)}
"""Columns that the platform knows by their names, and the types that they must have."""


def _month(value: Any) -> Any:
    try:
        return parse_month(str(value))
    except TaxiError:
        raise Refused("a year and a month, like 2021-01") from None


Month = Annotated[date, BeforeValidator(_month)]
ColumnName = Annotated[str, Field(pattern=f"^{NAME}$", max_length=_LONGEST_NAME)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnDeclaration(_Section):
    """A column in a service's file."""

    name: ColumnName = Field(description="Its name in the stores, the TLC's in snake_case")
    type: ColumnType = Field(description="Its type in every store")
    description: str = Field(min_length=1, description="What it means; tables and the UI show it")
    sources: tuple[str, ...] = Field((), description="Its names in the files, any of them; by default its name")
    unit: str | None = Field(None, description="The unit of its values")
    required: bool = Field(True, description="Whether a file must have it; else it is null where a file lacks it")
    required_from: Month | None = Field(None, description="The first month whose file must have it")
    required_until: Month | None = Field(None, description="The last month whose file must have it")
    values: dict[StrictInt, str] = Field({}, description="The values that are defined, with their meanings")
    day_of: str | None = Field(None, description="For a column of no file: the time whose day it is")

    @model_validator(mode="after")
    def _consistent(self) -> ColumnDeclaration:
        if self.name in _OWN:
            raise Refused(f"another name: the platform adds {self.name} itself", below=("name",))
        if self.name in _SYSTEM:
            raise Refused(f"another name: PostgreSQL has a {self.name} in each table", below=("name",))
        if self.day_of and (self.type is not ColumnType.DATE or self.sources):
            raise Refused("the type date and no `sources` beside `day_of`", below=("day_of",))
        if not self.required and (self.required_from or self.required_until):
            raise Refused("true beside `required_from` or `required_until`", below=("required",))
        if self.required_from and self.required_until and self.required_until < self.required_from:
            raise Refused("`required_from` or a later month", below=("required_until",))
        if self.type not in (allowed := _TYPES.get(self.name, (self.type,))):
            raise Refused(f"{' or '.join(allowed)}, the type of each {self.name}", below=("type",))
        return self

    def optional_by(self) -> str | None:
        """The key that lets files lack the column; None: each file must have it."""
        if not self.required:
            return "required"
        return next((key for key in ("required_from", "required_until") if getattr(self, key)), None)

    def column(self, first_month: date) -> Column:
        """The column of a service that begins with that month."""
        required = self.required and not self.day_of
        return Column(
            name=self.name,
            type=self.type,
            description=self.description,
            sources=() if self.day_of else self.sources or (self.name,),
            unit=self.unit,
            required_from=(self.required_from or first_month) if required else None,
            required_until=self.required_until,
            values=self.values,
            day_of=self.day_of,
        )


class ServiceDeclaration(_Section):
    """A service's file."""

    title: str = Field(min_length=1, description="For people: `Yellow taxis`")
    first_month: Month = Field(description="The first month whose file the columns describe, like 2019-01")
    pickup: str = Field(description="The column with the time of pickup")
    dropoff: str = Field(description="The column with the time of dropoff")
    columns: tuple[ColumnDeclaration, ...] = Field(
        min_length=1, description=f"In the order of the tables; a name alone is a column of {SHARED}"
    )

    @model_validator(mode="after")
    def _consistent(self) -> ServiceDeclaration:
        seen: set[str] = set()
        for index, declared in enumerate(self.columns):
            column = declared.column(self.first_month)
            for key, words in (("name", {column.name}), ("sources", set(column.sources))):
                if twice := sorted({f"{key} {word}" for word in words} & seen):
                    raise Refused("each once: another column has it, too", below=("columns", index), word=twice[0])
                seen |= {f"{key} {word}" for word in words}
            self._require_time(declared.day_of, "columns", index, "day_of")
            if declared.required_until and declared.required_until < self.first_month:
                raise Refused("`first_month` or a later month", below=("columns", index, "required_until"))
            if declared.name == self.pickup and (optional := declared.optional_by()):
                expected = "no such key: each file must have the time of pickup"
                raise Refused(expected, below=("columns", index, optional))
        self._require_time(self.pickup, "pickup")
        self._require_time(self.dropoff, "dropoff")
        return self

    def _require_time(self, name: str | None, *key: str | int) -> None:
        times = [column.name for column in self.columns if column.type is ColumnType.DATETIME]
        if name is not None and name not in times:
            raise Refused(f"a column of the type datetime, {one_of(times)}", allowed=times, below=key, word=name)

    def service(self, name: str) -> Service:
        """The service of that name."""
        columns = tuple(column.column(self.first_month) for column in self.columns)
        return Service(name, self.title, (*columns, SOURCE_MONTH), self.pickup, self.dropoff, self.first_month)


def service_names(folder: Path | None = None) -> list[str]:
    """The services that a file declares."""
    return sorted(path.stem for path in (folder or FOLDER).glob("*.yaml") if path.name != SHARED)


def service_file(name: str, folder: Path | None = None) -> Path:
    """The file that declares a service."""
    return (folder or FOLDER) / f"{name}.yaml"


def read_service(name: str, folder: Path | None = None) -> Service:
    """A service of the registry.

    Args:
        name: Its name: that of its file.
        folder: The folder of the files; None: the project's.

    Raises:
        UsageError: There is no such service, or its file is not valid.
    """
    return _read_service(name, folder or FOLDER)


def forget() -> None:
    """Lets this process read the files again."""
    _read_service.cache_clear()
    _shared_columns.cache_clear()


def require_known(service: Service, month: date) -> None:
    """Refuses a month that the columns of a service do not describe.

    Raises:
        UsageError: It lies before the service's first month.
    """
    if month < service.first_month:
        raise UsageError(
            f"The registry of columns does not know {service.name} {month_name(month)}.",
            expected=f"{month_name(service.first_month)} or a later month",
            found=f"{month_name(month)}, whose file may have other columns",
            where=f"taxi_assets/services/{service.name}.yaml, first_month",
            next_step="choose a later month; or see which columns the older files have, and declare them there",
        )


@cache
def _read_service(name: str, folder: Path) -> Service:
    path = service_file(name, folder)
    if name not in (known := service_names(folder)):
        nearest = nearest_word(name, known)
        raise UsageError(
            f"The registry of columns has no service {name!r}.{f' Do you mean {nearest!r}?' if nearest else ''}",
            expected=one_of(known),
            where=str(folder),
            next_step=f"correct the name, or declare the service in {path.name} there",
        )
    file = _with_shared_columns(YamlFile.read(path))
    if not re.fullmatch(NAME, name):
        expected = "a name of lower-case letters, digits and underscores, a letter first"
        raise InvalidYaml(path, [file.mistake((), f"a file of the name {path.name}", expected)])
    return file.validated(ServiceDeclaration).service(name)


def _with_shared_columns(file: YamlFile) -> YamlFile:
    """A service's file with the declarations of the columns that it names alone."""
    columns = file.document.get("columns") if isinstance(file.document, dict) else None
    if not isinstance(columns, list):
        return file
    shared = _shared_columns(file.path.parent)
    if wrong := [
        file.mistake(("columns", index), name, f"a column of {SHARED}, or its declaration", list(shared))
        for index, name in enumerate(columns)
        if isinstance(name, str) and name not in shared
    ]:
        raise InvalidYaml(file.path, wrong)
    declared = [shared[item] if isinstance(item, str) else item for item in columns]
    return replace(file, document={**file.document, "columns": declared})


@cache
def _shared_columns(folder: Path) -> Mapping[str, ColumnDeclaration]:
    if not (path := folder / SHARED).exists():
        return {}
    file = YamlFile.read(path)
    if not isinstance(file.document, dict):
        raise InvalidYaml(path, [file.mistake((), str(file.document), "columns by their names")])
    if named := [name for name, column in file.document.items() if isinstance(column, dict) and "name" in column]:
        expected = "no name: the key above is the column's"
        raise InvalidYaml(path, [file.mistake((name, "name"), "a name", expected) for name in named])
    return {name: file.validated(ColumnDeclaration, name, name=name) for name in file.document}
