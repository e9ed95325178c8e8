"""One folder with one YAML file a pipeline: what Dagster loads its assets from.

The command line reads the same files here, without Dagster, so that a mistyped name is answered at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from taxi_assets.errors import TaxiError


@dataclass(frozen=True)
class Pipeline:
    """What the command line needs to know of a pipeline.

    Attributes:
        service: Name of the service.
        job: Name of the job that runs the pipeline.
        stores: Name of the store → its asset: `postgres` → `postgres_table`.
        attributes: All that its YAML file says.
    """

    service: str
    job: str
    stores: dict[str, str]
    attributes: dict[str, Any]


STORE_ASSETS = {"postgres": "postgres_table", "lake": "gcs_parquet", "bigquery": "bigquery_table"}
"""The stores in the order in which a month reaches them, each with the asset that stands for it."""


def pipelines() -> dict[str, Pipeline]:
    """The pipelines of this project, by the name of their service."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*/defs.yaml")):
        attributes = yaml.safe_load(path.read_text())["attributes"]
        if service := attributes.get("service"):
            stores = {store: asset for store, asset in STORE_ASSETS.items() if store in attributes}
            found[service] = Pipeline(service, attributes["job"], stores, attributes)
    return found


def pipeline_of(service: str) -> Pipeline:
    """The pipeline of a service.

    Raises:
        TaxiError: There is none; names those that there are.
    """
    known = pipelines()
    if service not in known:
        raise TaxiError(
            f"There is no pipeline for the service {service!r}.",
            expected=f"one of: {', '.join(known)}",
            intact="nothing was started",
            next_step="correct the name, or add a folder with a defs.yaml to taxi_assets/pipelines",
        )
    return known[service]
