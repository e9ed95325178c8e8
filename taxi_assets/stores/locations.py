"""Where a month is in each store: for IO managers, automation and the command line alike.

A pipeline's YAML declares a table; the settings may move it to another schema, dataset or project.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from taxi_assets.stores.table import TableRef
from taxi_assets.trips.months import month_name

TRIAL = "trial"
"""The schema of PostgreSQL for the rows of a trial."""


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


def lake_uri(bucket: str, service: str, month: date, shape: str) -> str:
    """The object of the month in the lake; in the shape `date` the folder of the days."""
    return f"gs://{bucket}/{service}/{f'{service}_{month_name(month)}.parquet' if shape == 'month' else ''}"


def declared_metadata(context: Any) -> Mapping[str, Any]:
    """The metadata in the definition of the asset that an IO manager writes or reads."""
    output = getattr(context, "upstream_output", context)
    return getattr(output, "definition_metadata", None) or {}


def declared_table(context: Any) -> TableRef:
    """The table that this metadata names, under dagster-gcp's keys `schema` and `table`."""
    metadata = declared_metadata(context)
    return TableRef(namespace=metadata["schema"], name=metadata["table"])
