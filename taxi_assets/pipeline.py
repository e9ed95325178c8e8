"""One folder with one YAML file a pipeline: what Dagster loads its assets from.

The command line reads the same files here, without Dagster, so that a mistyped name is answered at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from taxi_assets.errors import TaxiError
from taxi_assets.settings import settings


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

    @property
    def start(self) -> date:
        """The first month."""
        from taxi_assets.trips.columns import FIRST_MONTH
        from taxi_assets.trips.months import parse_month

        return parse_month(self.attributes["start"]) if "start" in self.attributes else FIRST_MONTH

    def cleaning_version(self) -> str:
        """The version of the cleaning that the YAML file asks for: see `trips.version`."""
        from taxi_assets.trips.columns import SERVICES
        from taxi_assets.trips.rules import Rule, cleaning_version

        return cleaning_version(SERVICES[self.service], [Rule(**rule) for rule in self.attributes["reject"]])


FOLDER = Path(__file__).parent / "defs"
_INTACT = "nothing was started"

STORE_ASSETS = {"postgres": "postgres_table", "lake": "gcs_parquet", "bigquery": "bigquery_table"}
"""The stores in the order in which a month reaches them, each with the asset that stands for it."""


@cache
def pipelines(folder: Path = FOLDER) -> dict[str, Pipeline]:
    """The pipelines of this project, by the name of their service.

    Raises:
        TaxiError: A file is no YAML, or lacks what every pipeline has.
    """
    found = {}
    for path in sorted(folder.glob("*/defs.yaml")):
        attributes = _attributes(path)
        if service := attributes.get("service"):
            stores = {store: asset for store, asset in STORE_ASSETS.items() if store in attributes}
            found[service] = Pipeline(service, attributes["job"], stores, attributes)
    return found


def _attributes(path: Path) -> dict[str, Any]:
    try:
        attributes = (yaml.safe_load(path.read_text()) or {}).get("attributes") or {}
    except yaml.YAMLError as error:
        raise TaxiError("A pipeline's file is no YAML.", found=str(error), where=str(path), intact=_INTACT) from None
    if missing := [name for name in ("job", "reject") if "service" in attributes and name not in attributes]:
        raise TaxiError(
            f"A pipeline's file lacks {' and '.join(missing)}.",
            expected="attributes like those of taxi_assets/defs/yellow/defs.yaml",
            where=str(path),
            intact=_INTACT,
        )
    return attributes


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
            intact=_INTACT,
            next_step="correct the name, or add a folder with a defs.yaml to taxi_assets/defs",
        )
    return known[service]


def place(pipeline: Pipeline, store: str, month: date) -> str:
    """The place of a month in a store, as the load log names it: a table, an object, or the folder of the days."""
    from taxi_assets.stores.locations import bigquery_table, lake_uri, postgres_table
    from taxi_assets.stores.table import TableRef

    target, found = pipeline.attributes[store], settings()
    if store == "lake":
        return lake_uri(found.lake_bucket, pipeline.service, month, target["shape"])
    if store == "bigquery":
        return str(bigquery_table(TableRef(**target), found.warehouse_project, found.bigquery_dataset))
    return str(postgres_table(TableRef(**target), found.postgres_schema))
