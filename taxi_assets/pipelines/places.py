"""Where the months of a pipeline stand in each store, as the log of loads names it."""

from __future__ import annotations

from datetime import date

from taxi_assets.pipelines import Pipeline
from taxi_assets.settings import settings
from taxi_assets.trips.months import month_name

TRIAL = "trial"
"""The schema for the rows of a trial."""


def place(pipeline: Pipeline, store: str, month: date) -> str:
    """The table, with its schema or its project and dataset; in the lake the object, or the folder of the days."""
    target = pipeline.attributes[store]
    found = settings()
    if store == "lake":
        name = f"{pipeline.service}_{month_name(month)}.parquet" if target["shape"] == "month" else ""
        return f"gs://{found.lake_bucket}/{pipeline.service}/{name}"
    if store == "bigquery":
        return f"{found.warehouse_project}.{found.bigquery_dataset or target['dataset']}.{target['table']}"
    return f"{found.postgres_schema or target['schema']}.{target['table']}"
