"""A table of the warehouse that is one Parquet file of the lake, replaced as a whole, columns included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa

from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.client import JOB_SECONDS, Warehouse, connected
from taxi_assets.stores.bigquery.replace import ensure_dataset
from taxi_assets.stores.bigquery.schema import LABELS, expires, name_in_sql, value_in_sql
from taxi_assets.stores.google.resource import GoogleCloud

FILE_LABELS = {**LABELS, "made_from": "local_file"}
"""What the tables of files are recognised by: no other table is ever overwritten."""
_LABELS_IN_SQL = ", ".join(f"({value_in_sql(key)}, {value_in_sql(text)})" for key, text in FILE_LABELS.items())
_INTACT = "the table as it was before"
_TYPES = {
    "int64": "INT64",
    "double": "FLOAT64",
    "bool": "BOOL",
    "string": "STRING",
    "binary": "BYTES",
    "date32[day]": "DATE",
    "time64[us]": "TIME",
    "timestamp[us]": "DATETIME",
    "timestamp[us, tz=UTC]": "TIMESTAMP",
}


@dataclass(frozen=True)
class LoadedFile:
    """What a load did: the table, its rows now, and the job."""

    place: str
    rows: int
    job: str


def load_file(cloud: GoogleCloud, uri: str, place: tuple[str, str], schema: pa.Schema, description: str) -> LoadedFile:
    """Loads a Parquet file of the lake into a table of its own; readers see the old table or the new one.

    A load job fills a staging table, and one statement puts it in the table's place. In BigQuery a load job alone would
    do; in the emulator, neither that nor a copy job takes new columns.

    Args:
        cloud: Where both are.
        uri: The file, `gs://…`.
        place: Dataset and table.
        schema: Its columns; the metadata `column_of_the_file` of a field becomes its description.
        description: What the table is.

    Raises:
        TransientError: The service was lost.
        TaxiError: The table belongs to somebody else, or the load job failed; the table is as it was.
    """
    from google.cloud import bigquery

    where = ".".join(place)
    with connected(cloud, f"Loading {uri} into BigQuery", where, _INTACT) as warehouse:
        client, retry = warehouse.client, warehouse.retry
        target = bigquery.Table(f"{client.project}.{where}", _fields(schema))
        target.description, target.labels = description, FILE_LABELS
        _demand_ours(warehouse, target)
        with _staged(warehouse, target, uri) as staging:
            options = f"description = {value_in_sql(description)}, labels = [{_LABELS_IN_SQL}]"
            select = f"SELECT * FROM {_in_sql(staging)}"  # noqa: S608
            job, _ = warehouse.ask(f"CREATE OR REPLACE TABLE {_in_sql(target)} OPTIONS ({options}) AS {select}")
            # The descriptions of the columns; and in the emulator, which forgets them, the options as well.
            found = client.get_table(target.reference, retry=retry)
            found.description, found.labels, found.schema = description, FILE_LABELS, target.schema
            client.update_table(found, ["description", "labels", "schema"], retry=retry)
        (row,) = warehouse.ask(f"SELECT COUNT(*) AS found FROM {_in_sql(target)}")[1]  # noqa: S608
        return LoadedFile(str(target.reference), int(row.found), job.job_id)


def _in_sql(table: Any) -> str:
    return name_in_sql(table.project, table.dataset_id, table.table_id)


@contextmanager
def _staged(warehouse: Warehouse, target: Any, uri: str) -> Iterator[Any]:
    """The file in a table of its own, which it yields."""
    from google.cloud import bigquery

    client, retry = warehouse.client, warehouse.retry
    staging = bigquery.Table(f"{target.reference}_staging_{uuid4().hex[:8]}", target.schema)
    staging.expires, staging.labels = expires(), FILE_LABELS
    client.create_table(staging, retry=retry)
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET, schema=target.schema, labels=FILE_LABELS
    )
    try:
        job = client.load_table_from_uri(uri, staging.reference, job_config=config, retry=retry)
        job.result(retry=retry, timeout=JOB_SECONDS)
        yield staging
    finally:
        with suppress(Exception):
            client.delete_table(staging.reference, not_found_ok=True, retry=retry)


def _fields(schema: pa.Schema) -> list[Any]:
    from google.cloud.bigquery import SchemaField

    return [
        SchemaField(
            field.name,
            _TYPES[str(field.type)],
            description=f"Column {(field.metadata or {}).get(b'column_of_the_file', b'').decode()!r} of the file.",
        )
        for field in schema
    ]


def _demand_ours(warehouse: Warehouse, target: Any) -> None:
    """Makes sure that the table was made from a file, or that there is none.

    Raises:
        TaxiError: It is somebody else's.
    """
    from google.api_core.exceptions import NotFound

    try:
        found = warehouse.client.get_table(target.reference, retry=warehouse.retry)
    except NotFound:
        ensure_dataset(warehouse, target.dataset_id)
        return
    if found.labels.get("made_from") != FILE_LABELS["made_from"]:
        raise TaxiError(
            f"The table {target.reference} is not one that was made from a file.",
            expected="no table of that name, or one of an earlier version of the file",
            found=f"a table with the labels {dict(found.labels)}",
            where=str(target.reference),
            intact=_INTACT,
            next_step="rename the file, or name another dataset in the YAML file of local_files",
        )
