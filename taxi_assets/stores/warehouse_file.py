"""A table of the warehouse that is one Parquet file of the lake, replaced as a whole, columns included."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from taxi_assets.errors import TaxiError
from taxi_assets.stores.google import GoogleCloud
from taxi_assets.stores.warehouse_client import JOB_SECONDS, Warehouse, connected
from taxi_assets.stores.warehouse_replace import ensure_dataset
from taxi_assets.stores.warehouse_tables import LABELS

FILE_LABELS = {**LABELS, "made_from": "local_file"}
"""What the tables of files are recognised by: no other table is ever overwritten."""
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
    """Loads a Parquet file of the lake into a table; one load job, so that readers see the old table or the new one.

    Args:
        cloud: Where both are.
        uri: The file, `gs://…`.
        place: Dataset and table.
        schema: Its columns; the metadata `column_of_the_file` of a field becomes its description.
        description: What the table is.

    Raises:
        PassingError: The service was lost.
        TaxiError: The table belongs to somebody else, or the load job failed; the table is as it was.
    """
    from google.cloud import bigquery

    where = ".".join(place)
    with connected(cloud, f"Loading {uri} into BigQuery", where, _INTACT) as warehouse:
        target = bigquery.Table(f"{warehouse.client.project}.{where}", _fields(schema))
        target.description, target.labels = description, FILE_LABELS
        made = _ensure(warehouse, target, place[0])
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            schema=target.schema,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
            labels=FILE_LABELS,
        )
        try:
            job = warehouse.client.load_table_from_uri(uri, target.reference, job_config=config, retry=warehouse.retry)
            job.result(retry=warehouse.retry, timeout=JOB_SECONDS)
        except Exception:
            if made:
                with suppress(Exception):
                    warehouse.client.delete_table(target.reference, not_found_ok=True, retry=warehouse.retry)
            raise
        found = warehouse.client.get_table(target.reference, retry=warehouse.retry)
        found.description, found.labels = description, FILE_LABELS
        warehouse.client.update_table(found, ["description", "labels"], retry=warehouse.retry)
        return LoadedFile(str(target.reference), int(found.num_rows), job.job_id)


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


def _ensure(warehouse: Warehouse, target: Any, dataset: str) -> bool:
    """Makes the table, empty, where it is missing; whether it did.

    Raises:
        TaxiError: There is one that no file was loaded into.
    """
    from google.api_core.exceptions import NotFound

    try:
        found = warehouse.client.get_table(target.reference, retry=warehouse.retry)
    except NotFound:
        ensure_dataset(warehouse, dataset)
        warehouse.client.create_table(target, exists_ok=True, retry=warehouse.retry)
        return True
    if found.labels.get("made_from") != FILE_LABELS["made_from"]:
        raise TaxiError(
            f"The table {target.reference} is not one that was made from a file.",
            expected="no table of that name, or one of an earlier version of the file",
            found=f"a table with the labels {dict(found.labels)}",
            where=str(target.reference),
            intact=_INTACT,
            next_step="rename the file, or name another dataset in the YAML file of local_files",
        )
    return False
