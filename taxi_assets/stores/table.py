"""The tables of PostgreSQL and BigQuery: where one is, and what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from taxi_assets.errors import TaxiError
from taxi_assets.trips.columns import SOURCE_MONTH, Column
from taxi_assets.trips.months import month_name
from taxi_assets.yaml_mistakes import Refused

if TYPE_CHECKING:
    from psycopg import sql

TRIAL = "trial"
"""The schema of PostgreSQL for the rows of a trial."""
LONGEST_POSTGRES_NAME = 63
"""The bytes of a name in PostgreSQL; it cuts a longer one off."""
LONGEST_POSTGRES_TABLE = LONGEST_POSTGRES_NAME - len("_rejected_2021_01")
_BIGQUERY_NAME = re.compile(r"[A-Za-z0-9_:.-]+")


class TableRef(BaseModel):
    """The place of a table. A pipeline's YAML names it: `{schema: mage, table: green_taxi}`, `{dataset: …, table: …}`.

    Attributes:
        namespace: Schema in PostgreSQL, dataset in BigQuery.
        name: Name of the table.
        database: Project in BigQuery; None: the connection's own.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
    )

    namespace: str = Field(
        validation_alias=AliasChoices("schema", "dataset"), description="Schema in PostgreSQL, dataset in BigQuery"
    )
    name: str = Field(validation_alias=AliasChoices("table"), description="Name of the table")
    database: str | None = Field(None, description="Project in BigQuery")

    # Dagster looks the keys of the YAML up as attributes.
    @property
    def dataset(self) -> str:
        """The dataset in BigQuery."""
        return self.namespace

    @property
    def table(self) -> str:
        """The name of the table."""
        return self.name

    def __str__(self) -> str:
        return ".".join(part for part in (self.database, self.namespace, self.name) if part)

    @property
    def in_database(self) -> str:
        """Its name within the database or project: `ny_taxi.yellow_cab_data`."""
        return f"{self.namespace}.{self.name}"

    def with_suffix(self, suffix: str) -> TableRef:
        """The table beside this one whose name ends with the suffix."""
        return self.model_copy(update={"name": f"{self.name}{suffix}"})

    def moved(self, *, namespace: str | None = None, database: str | None = None) -> TableRef:
        """The table of this name in another schema, dataset or project; None keeps this one's."""
        return self.model_copy(update={"namespace": namespace or self.namespace, "database": database or self.database})

    @property
    def postgres(self) -> sql.Identifier:
        """The quoted name in PostgreSQL."""
        from psycopg import sql

        return sql.Identifier(self.namespace, self.name)

    @property
    def bigquery(self) -> str:
        """The quoted name in BigQuery. Raises what `quoted` raises."""
        return quoted(*(part for part in (self.database, self.namespace, self.name) if part))


def refuse_template(value: Any) -> Any:
    """Refuses a value of a YAML file that is a template: Dagster would resolve it, the command line would not."""
    if isinstance(value, str) and "{{" in value:
        raise Refused("the value itself, or a setting of .env: a template is resolved by Dagster alone")
    return value


@dataclass(frozen=True)
class _Name:
    """What a name may be in a store.

    Attributes:
        pattern: Its form.
        expected: The same in words.
        bytes: Its longest length.
        reserved: Names that the platform or the store has itself.
    """

    pattern: str
    expected: str
    bytes: int
    reserved: tuple[str, ...] = ()

    def require(self, key: str, value: str) -> None:
        if not value:
            raise Refused("a name", below=(key,))
        if not re.fullmatch(self.pattern, value) or len(value.encode()) > self.bytes:
            raise Refused(f"{self.expected}, {self.bytes} bytes at most", below=(key,))
        if value in self.reserved:
            raise Refused(f"another name: {', '.join(self.reserved)} are reserved", below=(key,))

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.bytes, "pattern": f"^{self.pattern}$"}


def _declared_with(**names: _Name) -> BeforeValidator:
    keys = tuple(names)

    def check(value: Any) -> Any:
        if isinstance(value, dict):
            for key in value:
                if key not in keys:
                    raise Refused(f"the keys {' and '.join(keys)}", allowed=keys, below=(key,), word=str(key))
            for key, part in value.items():
                refuse_template(part)
                if isinstance(part, str):
                    names[key].require(key, part)
        elif isinstance(value, TableRef) and value.database:
            raise Refused("the project as a setting: GCP_PROJECT")
        return value

    return BeforeValidator(check)


def _schema_of(**names: _Name) -> WithJsonSchema:
    properties = {key: name.json_schema for key, name in names.items()}
    return WithJsonSchema(
        {"type": "object", "properties": properties, "required": list(names), "additionalProperties": False}
    )


# In any case: the embedded BigQuery takes names that differ in case alone for one.
_NOT_REJECTED = "(?!.*_[Rr][Ee][Jj][Ee][Cc][Tt][Ee][Dd]$)"

_POSTGRES = {
    "schema": _Name(
        r"(?!pg_)[^\x00-\x1f\x7f]+",
        "the name of a schema, which does not begin with pg_ as PostgreSQL's own do",
        LONGEST_POSTGRES_NAME,
        ("dagster", "information_schema", "taxi_assets", TRIAL),
    ),
    "table": _Name(
        rf"(?!.*_\d{{4}}_\d\d$){_NOT_REJECTED}[^\x00-\x1f\x7f]+",
        "the name of a table, which does not end like a partition's, _2021_01, or a table of rejected rows, _rejected",
        LONGEST_POSTGRES_TABLE,
    ),
}
_BIGQUERY = {
    "dataset": _Name("[A-Za-z0-9_]+", "the name of a dataset: letters, digits and _", 1024),
    # 1024 bytes with the suffix of a staging table.
    "table": _Name(
        f"{_NOT_REJECTED}[A-Za-z0-9_-]+",
        "the name of a table: letters, digits, _ and -; it does not end like a table of rejected rows, _rejected",
        960,
        ("taxi_assets_load_log",),
    ),
}
PostgresTable = Annotated[TableRef, _declared_with(**_POSTGRES), _schema_of(**_POSTGRES)]
"""A table of PostgreSQL as a YAML file declares it; the names of its partitions are longer."""
BigQueryTable = Annotated[TableRef, _declared_with(**_BIGQUERY), _schema_of(**_BIGQUERY)]
"""A table of BigQuery as a YAML file declares it."""


def quoted(*parts: str) -> str:
    """A name of a project, dataset, table or column, quoted for BigQuery's SQL.

    Raises:
        TaxiError: A part holds a character that no name in BigQuery has.
    """
    for part in parts:
        if not _BIGQUERY_NAME.fullmatch(part):
            raise TaxiError(
                f"{part!r} is no name for BigQuery.",
                expected="letters, digits, _ and -",
                next_step="correct the pipeline's YAML, BIGQUERY_DATASET or GCP_PROJECT",
            )
    return f"`{'.'.join(parts)}`"


@dataclass(frozen=True)
class Table:
    """A table and what it holds.

    Attributes:
        ref: Its place.
        columns: Its columns, from the registry; one with `source_month` is partitioned by it.
        description: What it is, for its readers.
        pickup: The column with the time of pickup, by which trips are clustered or indexed; None: it has none.
    """

    ref: TableRef
    columns: tuple[Column, ...]
    description: str
    pickup: str | None = None

    def __str__(self) -> str:
        return str(self.ref)

    @property
    def monthly(self) -> bool:
        """Whether it is replaced month by month."""
        return SOURCE_MONTH in self.columns


def postgres_table(declared: TableRef, schema: str | None, *, trial: bool = False) -> TableRef:
    """The table in PostgreSQL.

    Args:
        declared: The table that the pipeline's YAML names.
        schema: POSTGRES_SCHEMA, which overrides the schema; None: it is not set.
        trial: Whether the rows are those of a trial.
    """
    return declared.moved(namespace=schema or (TRIAL if trial else None))


def bigquery_table(declared: TableRef, project: str | None, dataset: str | None) -> TableRef:
    """The table in BigQuery, as the load log names it.

    Args:
        declared: The table that the pipeline's YAML names.
        project: The project that the settings name; None: the one of the credentials.
        dataset: BIGQUERY_DATASET, which overrides the dataset; None: it is not set.
    """
    return declared.moved(namespace=dataset, database=project or "project-of-the-credentials")


def lake_uri(bucket: str, pipeline: str, month: date, shape: str) -> str:
    """The object of the month in the lake; in the shape `date` the folder of the days."""
    return f"gs://{bucket}/{pipeline}/{f'{pipeline}_{month_name(month)}.parquet' if shape == 'month' else ''}"


def declared_metadata(context: Any) -> Mapping[str, Any]:
    """The metadata in the definition of the asset that an IO manager writes or reads."""
    output = getattr(context, "upstream_output", context)
    return getattr(output, "definition_metadata", None) or {}


def declared_table(context: Any) -> TableRef:
    """The table that this metadata names, under dagster-gcp's keys `schema` and `table`."""
    metadata = declared_metadata(context)
    return TableRef(namespace=metadata["schema"], name=metadata["table"])
