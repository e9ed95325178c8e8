"""The summaries of one service: their tables, and when they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
from pydantic import Field, field_validator

from taxi_assets.components import metadata
from taxi_assets.components.taxi_pipeline.assets import RETRIES, months_since
from taxi_assets.pipeline import PipelineSpec, pipeline_for
from taxi_assets.stores.bigquery.metadata import table_metadata
from taxi_assets.stores.table import BigQueryTable, Table, TableRef
from taxi_assets.trips.columns import SERVICES, Service

ZONES_KEY = dg.AssetKey("taxi_zones")


class ServiceSummaries(dg.Model, dg.Resolvable):
    """The tables of a service's summaries; one that is left out is not made."""

    service: str = Field(description="Name of the service; its pipeline must reach BigQuery")
    trips_per_day: BigQueryTable | None = Field(None, description="Trips, passengers and revenue by day of pickup")
    trips_per_zone_hour: BigQueryTable | None = Field(None, description="Trips by zone and hour of pickup")
    revenue_per_zone: BigQueryTable | None = Field(None, description="Revenue by zone of pickup, with the zone's name")

    @field_validator("service")
    @classmethod
    def _reaches_bigquery(cls, value: str) -> str:
        if "bigquery" not in pipeline_for(value).stores:
            raise ValueError(f"the pipeline of {value} has no BigQuery: its months have no summaries")
        return value

    @property
    def pipeline(self) -> PipelineSpec:
        """Its pipeline."""
        return pipeline_for(self.service)

    @property
    def trips(self) -> Service:
        """The service and its columns, from the registry."""
        return SERVICES[self.service]

    @property
    def trips_table(self) -> TableRef:
        """The table of the trips."""
        if self.pipeline.bigquery is None:
            raise ValueError(f"the pipeline of {self.service} has no BigQuery")
        return self.pipeline.bigquery

    def key(self, name: str) -> dg.AssetKey:
        """The key of one of its assets, or of its pipeline's."""
        return dg.AssetKey([self.service, name])

    def asset(
        self, name: str, table: Table, lineage: dg.TableColumnLineage, tool: str, **options: Any
    ) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
        """`dg.asset` with what every summary has; `tool` is what adds it up."""
        decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
            key=self.key(name),
            description=table.description,
            partitions_def=months_since(self.pipeline.start),
            metadata={**table_metadata(table), metadata.LINEAGE: lineage},
            automation_condition=follows(self),
            retry_policy=RETRIES,
            pool="bigquery",
            kinds={"bigquery", tool},
            **options,
        )
        return decorator


Condition = dg.AutomationCondition


def follows(service: ServiceSummaries) -> dg.AutomationCondition[dg.AssetKey]:
    """Once for each month, of any year, that stands in BigQuery, and again after each load of it.

    A month counts as arrived when its run wrote `bigquery_table`: what `--only postgres` cleans again starts nothing.
    Unlike `AutomationCondition.eager()`, this looks at every month, not the latest alone, and also at months that were
    loaded before the daemon ever ran. A summary that failed is not tried again until its month is loaded anew.
    """
    passed = Condition.all_checks_match(Condition.check_passed(), blocking_only=True)
    arrives = Condition.any_deps_updated().allow(dg.AssetSelection.assets(service.key("bigquery_table"), ZONES_KEY))
    due = (Condition.missing().newly_true() | arrives).since(Condition.newly_requested() | Condition.newly_updated())
    return (
        due
        & ~Condition.any_deps_missing()
        & ~Condition.any_deps_in_progress()
        & ~Condition.in_progress()
        & Condition.all_deps_blocking_checks_passed()
        # Also of what stands before the tables that a summary reads.
        & Condition.asset_matches(service.key("clean_taxi"), passed)
        & Condition.asset_matches(service.key("gcs_parquet"), passed)
    ).with_label("the month stands in BigQuery and passed its blocking checks")
