"""A file in the bucket, and as a table in BigQuery that is replaced as a whole, columns included."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from taxi_assets.components.local_files.table import FROM
from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.replace import Objects, Replaced, replace_table
from taxi_assets.stores.bigquery.resource import BigQuerySession, bigquery_session
from taxi_assets.stores.bigquery.schema import LABELS, ensure_dataset
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.files import LakeFile
from taxi_assets.stores.lake.objects import put, remove
from taxi_assets.stores.lake.resource import lake_session
from taxi_assets.stores.table import TableRef

FILE_LABELS = {**LABELS, "made_from": "local_file"}
"""The labels of tables that were made from files: no other table is ever overwritten."""
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


def load_file(
    cloud: GoogleCloud, uri: str, declared: TableRef, schema: pa.Schema, rows: int, description: str
) -> tuple[TableRef, Replaced]:
    """Loads a Parquet file of the bucket into a table of its own; readers see the old table or the new one.

    Args:
        cloud: Where both are.
        uri: The file, `gs://…`.
        declared: The table; BIGQUERY_DATASET overrides its dataset.
        schema: The file's columns; the metadata `column_of_the_file` of a field becomes its description.
        rows: The file's row count.
        description: The description of the table.

    Raises:
        TransientError: The service was lost.
        TaxiError: The table belongs to somebody else, or the load job failed; the table is as it was.
    """
    with bigquery_session(cloud, f"Loading {uri} into BigQuery", declared, _INTACT) as session:
        table = session.table(declared)
        _demand_ours(session, table)
        objects = Objects([uri], _fields(schema), uri, f"file_{table.name}", rows, labels=FILE_LABELS)
        return table, replace_table(session, table, objects, description)


def _fields(schema: pa.Schema) -> list[Any]:
    from google.cloud.bigquery import SchemaField

    return [
        SchemaField(
            field.name,
            _TYPES[str(field.type)],
            description=f"Column {(field.metadata or {}).get(FROM, b'').decode()!r} of the file.",
        )
        for field in schema
    ]


def _demand_ours(session: BigQuerySession, table: TableRef) -> None:
    """Makes sure that the table was made from a file, or that there is none.

    Raises:
        TaxiError: It is somebody else's.
    """
    from google.api_core.exceptions import NotFound

    try:
        existing = session.client.get_table(str(table), retry=session.retry)
    except NotFound:
        ensure_dataset(session, table)
        return
    if existing.labels.get("made_from") != FILE_LABELS["made_from"]:
        raise TaxiError(
            f"The table {table} is not one that was made from a file.",
            expected="no table of that name, or one of an earlier version of the file",
            found=f"a table with the labels {dict(existing.labels)}",
            where=str(table),
            intact=_INTACT,
            next_step="rename the file, or name another dataset in the YAML file of local_files",
        )


INTACT = "what the bucket had under that name, and its table"


def send_file(cloud: GoogleCloud, path: Path, name: str, rows: int = 0) -> None:
    """Replaces an object by a file of that many rows; not again where it is the same.

    Raises:
        TransientError: The service was lost, or another program changed the object at the same time.
        TaxiError: The bucket is missing or refuses.
    """
    with lake_session(cloud, f"Sending {path.name} to the bucket", f"gs://{cloud.bucket}/{name}", INTACT) as session:
        put(session, LakeFile(name, path, rows), session.bucket.get_blob(name, retry=session.retry))


def remove_file(cloud: GoogleCloud, name: str) -> None:
    """Removes an object; one that is missing is no error. Raises what `send_file` raises."""
    with lake_session(cloud, f"Removing {name} from the bucket", f"gs://{cloud.bucket}/{name}", INTACT) as session:
        blob = session.bucket.get_blob(name, retry=session.retry)
        if blob is not None:
            remove(session, [blob])


def fetch_file(cloud: GoogleCloud, name: str, path: Path) -> bool:
    """Writes an object to a file; False where it is missing. Raises what `send_file` raises."""
    from google.api_core.exceptions import NotFound

    where = f"gs://{cloud.bucket}/{name}"
    with lake_session(cloud, f"Reading {name} from the bucket", where, INTACT) as session, suppress(NotFound):
        session.bucket.blob(name).download_to_filename(str(path), retry=session.retry)
        return True
    return False
