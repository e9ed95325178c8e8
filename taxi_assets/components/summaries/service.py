"""One service's part of the summaries: what its assets have in common."""

from __future__ import annotations

import dagster as dg
from pydantic import Field, field_validator

from taxi_assets.pipelines import Pipeline, pipeline_of
from taxi_assets.stores.google import GoogleCloud
from taxi_assets.stores.warehouse_replace import SmallTable
from taxi_assets.trips.columns import SERVICES, Column, Service
from taxi_assets.trips.months import month_name

GROUP = "summaries"
ZONES_KEY = dg.AssetKey("taxi_zones")


class Place(dg.Model, dg.Resolvable):
    """A table in BigQuery."""

    dataset: str = Field(description="Dataset of the table")
    table: str = Field(description="Name of the table")

    def holding(self, columns: tuple[Column, ...], description: str) -> SmallTable:
        """The table with these columns, as the YAML file names it."""
        return SmallTable(self.dataset, self.table, columns, description)

    def at(self, cloud: GoogleCloud, columns: tuple[Column, ...], description: str = "") -> SmallTable:
        """The same where BIGQUERY_DATASET, if it is set, puts it."""
        return SmallTable(cloud.dataset or self.dataset, self.table, columns, description)


class ServiceSummaries(dg.Model, dg.Resolvable):
    """Where the summaries of a service stand; one that is left out is not made."""

    service: str = Field(description="Name of the service; its pipeline must reach BigQuery")
    trips_per_day: Place | None = Field(None, description="Trips, passengers and revenue by day of pickup")
    trips_per_zone_hour: Place | None = Field(None, description="Trips by zone and hour of pickup")
    revenue_per_zone: Place | None = Field(None, description="Revenue by zone of pickup, with the zone's name")

    @field_validator("service")
    @classmethod
    def _reaches_bigquery(cls, value: str) -> str:
        if "bigquery" not in pipeline_of(value).stores:
            raise ValueError(f"the pipeline of {value} has no BigQuery: its months have no summaries")
        return value

    @property
    def pipeline(self) -> Pipeline:
        """Its pipeline."""
        return pipeline_of(self.service)

    @property
    def trips(self) -> Service:
        """What the registry says of it."""
        return SERVICES[self.service]

    @property
    def first_month(self) -> str:
        """The pipeline's first month."""
        return month_name(self.pipeline.start)

    @property
    def trips_place(self) -> Place:
        """The table with the trips themselves."""
        return Place(**self.pipeline.attributes["bigquery"])

    def key(self, name: str) -> dg.AssetKey:
        """The key of one of its assets, or of its pipeline's."""
        return dg.AssetKey([self.service, name])
