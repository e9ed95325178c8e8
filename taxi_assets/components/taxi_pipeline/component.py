"""The component behind a pipeline's YAML file: one service's way from the TLC's file to the stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import dagster as dg
from pydantic import Field, field_validator, model_validator

from taxi_assets.automation.freshness import Freshness, freshness
from taxi_assets.automation.publication import Publication, publication_sensor
from taxi_assets.automation.schedules import Schedule, schedule
from taxi_assets.components.partitions import months_since
from taxi_assets.components.taxi_pipeline import assets, checks
from taxi_assets.components.taxi_pipeline import assets as store_assets
from taxi_assets.components.taxi_pipeline import checks as store_checks
from taxi_assets.pipeline import STORE_ASSETS, Pipeline
from taxi_assets.trips.columns import FIRST_MONTH, SERVICES, Service
from taxi_assets.trips.months import month_name
from taxi_assets.trips.rules import Rule, check_rules, cleaning_version


class PostgresTarget(dg.Model, dg.Resolvable):
    """The table in PostgreSQL; `{table}_rejected` stands beside it."""

    schema_name: str = Field(alias="schema", description="Schema of the table")
    table: str = Field(description="Name of the table")


class LakeTarget(dg.Model, dg.Resolvable):
    """The objects in the bucket."""

    shape: Literal["month", "date"] = Field(description="One object a month, or one folder a day of pickup, Hive style")


class BigQueryTarget(dg.Model, dg.Resolvable):
    """The table in BigQuery, loaded from the lake."""

    dataset: str = Field(description="Dataset of the table")
    table: str = Field(description="Name of the table")


class TaxiPipeline(dg.Component, dg.Model, dg.Resolvable):
    """One taxi service: its files are fetched month by month, cleaned, and loaded into the stores.

    Makes the assets `{service}/raw_taxi`, `clean_taxi`, `rejected_taxi`, `postgres_table`, `gcs_parquet` and
    `bigquery_table`, their checks, a job that runs all of them for a month, and what starts it.
    """

    service: str = Field(description="Name of the service in the registry of columns")
    job: str = Field(description="Name of the job that runs the whole pipeline for a month")
    owners: list[str] = Field(description="E-mail addresses, or teams as `team:name`")
    reject: Sequence[Rule] = Field(description="Rules, tried in this order; the first that fits rejects")
    postgres: PostgresTarget = Field(description="Where the trips stand in PostgreSQL")
    lake: LakeTarget | None = Field(None, description="How the trips stand in Cloud Storage; left out: they do not")
    bigquery: BigQueryTarget | None = Field(None, description="Where they stand in BigQuery; wants `lake` as well")
    start: str = Field(month_name(FIRST_MONTH), description="The first month")
    schedule: Schedule | None = Field(None, description="When months that are missing are looked for")
    publication: Publication | None = Field(None, description="How publication by the source is watched")
    freshness: Freshness | None = Field(None, description="How late a month may be")
    most_pickups_outside: float = Field(
        0.01, ge=0, le=1, description="Share of pickups outside the file's month from which a check warns"
    )

    @field_validator("service")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SERVICES:
            raise ValueError(f"the registry of columns has no service {value!r}; it has {', '.join(SERVICES)}")
        return value

    @model_validator(mode="after")
    def _from_the_lake(self) -> TaxiPipeline:
        if self.bigquery and not self.lake:
            raise ValueError("BigQuery is loaded from the lake: declare `lake` as well")
        return self

    @property
    def trips(self) -> Service:
        """What the registry says of the service."""
        return SERVICES[self.service]

    @property
    def version(self) -> str:
        """Changes when a column or a rule does."""
        return cleaning_version(self.trips, self.reject)

    @property
    def partitions(self) -> dg.PartitionsDefinition[Any]:
        """The months of the files, from `start` to the last one that is over.

        Its assets name no backfill policy, which means a run a month. Were one named, even `multi_run(1)`, the runs of
        a backfill would get a range of partitions, and IO managers no partition key.
        """
        return months_since(self.start)

    @property
    def plan(self) -> Pipeline:
        """What schedules, sensors and the command line need to know of it."""
        told = self.model_dump(by_alias=True, exclude_none=True)
        stores = {store: asset for store, asset in STORE_ASSETS.items() if store in told}
        return Pipeline(self.service, self.job, stores, told)

    def key(self, name: str) -> dg.AssetKey:
        """The key of one of its assets."""
        return dg.AssetKey([self.service, name])

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, the job, and what starts it.

        Raises:
            TaxiError: A rule cannot be held against the service's columns.
        """
        check_rules(self.reject, self.trips)
        chain = [assets.raw_taxi(self), assets.clean_taxi(self), store_assets.postgres_table(self)]
        held = [checks.clean_checks(self), store_checks.zone_checks(self), store_checks.postgres_checks(self)]
        if self.lake:
            chain.append(store_assets.gcs_parquet(self, self.lake))
            held.append(store_checks.lake_checks(self))
        if self.bigquery:
            chain.append(store_assets.bigquery_table(self, self.bigquery))
            held.append(store_checks.bigquery_checks(self, self.bigquery))
        job = dg.define_asset_job(
            self.job,
            # With the checks of the month alone: whether the newest month is late is no month's matter.
            selection=dg.AssetSelection.assets(*chain).without_checks() | dg.AssetSelection.checks(*held),
            partitions_def=self.partitions,
            description=f"{self.trips.title}: one month's file into every store.",
        )
        return dg.Definitions.merge(dg.Definitions(assets=chain, asset_checks=held, jobs=[job]), self._automation())

    def _automation(self) -> dg.Definitions:
        started = dg.Definitions(
            schedules=[schedule(self.plan, self.schedule)] if self.schedule else [],
            sensors=[publication_sensor(self.plan, self.publication)] if self.publication else [],
        )
        return dg.Definitions.merge(started, freshness(self.plan, self.freshness)) if self.freshness else started
