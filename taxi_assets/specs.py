"""The models of the YAML files that are no pipelines: summaries and local files. They import no Dagster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field, ValidationInfo, field_validator, model_validator

from taxi_assets.pipeline import Section, State
from taxi_assets.stores.table import BigQueryTable, TableRef
from taxi_assets.trips.columns import AMOUNT
from taxi_assets.yaml_fields import Owner
from taxi_assets.yaml_mistakes import Key, Refused, one_of

_READS = {
    "trips_per_day": ("passenger_count", AMOUNT),
    "trips_per_zone_hour": ("pu_location_id",),
    "revenue_per_zone": ("pu_location_id", AMOUNT),
}
"""Summary → the columns that it reads besides the time of pickup."""


class SummaryTables(Section):
    """The tables of a pipeline's summaries; one that is left out is not made."""

    pipeline: str = Field(description="Name of the pipeline; it must reach BigQuery")
    trips_per_day: BigQueryTable | None = Field(None, description="Trips, passengers and revenue by day of pickup")
    trips_per_zone_hour: BigQueryTable | None = Field(None, description="Trips by zone and hour of pickup")
    revenue_per_zone: BigQueryTable | None = Field(None, description="Revenue by zone of pickup, with the zone's name")

    @field_validator("pipeline")
    @classmethod
    def _reaches_bigquery(cls, value: str, info: ValidationInfo) -> str:
        """Refuses a pipeline without BigQuery; that of a broken file may have it."""
        if info.context is None or value in info.context.broken:
            return value
        reaching = [name for name, pipeline in info.context.valid.items() if "bigquery" in pipeline.stores]
        if value not in reaching:
            raise Refused(f"a pipeline that reaches BigQuery, {one_of(reaching)}", allowed=reaching)
        return value

    @field_validator(*_READS)
    @classmethod
    def _has_its_columns(cls, value: TableRef | None, info: ValidationInfo) -> TableRef | None:
        pipeline = info.context.valid.get(info.data.get("pipeline")) if info.context else None
        if value and pipeline:
            names = {column.name for column in pipeline.trips.columns}
            if missing := [name for name in _READS[str(info.field_name)] if name not in names]:
                raise Refused(f"no {info.field_name}: {pipeline.name} has no column {' and no '.join(missing)}")
        return value


class SummariesSpec(Section):
    """The YAML file of the summaries."""

    owners: list[Owner] = Field(description="E-mail addresses, or teams as `team:name`")
    taxi_zones: BigQueryTable = Field(description="Table of the taxi zones in BigQuery")
    pipelines: Sequence[SummaryTables] = Field(description="The pipelines and the tables of their summaries")
    state: State = Field(State.RUNNING, description="Of the sensors, before a person flips the switch in the UI")

    @model_validator(mode="after")
    def _tables_of_their_own(self, info: ValidationInfo) -> SummariesSpec:
        """Refuses a pipeline twice, and a table that another summary or a pipeline has."""
        names = [each.pipeline for each in self.pipelines]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Refused("each pipeline once", below=("pipelines", index, "pipeline"))
        taken = {
            str(table).lower(): f"the pipeline {name}"
            for name, pipeline in (info.context.valid.items() if info.context else ())
            if pipeline.bigquery
            for table in (pipeline.bigquery, pipeline.bigquery.with_suffix("_rejected"))
        }
        for key, table in self._tables():
            # The embedded BigQuery takes names that differ in case alone for one.
            if owner := taken.get(str(table).lower()):
                raise Refused(f"a table of its own: {table} is also that of {owner}", below=key)
            taken[str(table).lower()] = ".".join(map(str, key))
        return self

    def _tables(self) -> Iterator[tuple[Key, TableRef]]:
        yield ("taxi_zones",), self.taxi_zones
        for index, each in enumerate(self.pipelines):
            for summary in _READS:
                if table := getattr(each, summary):
                    yield ("pipelines", index, summary), table


class LocalFilesSpec(Section):
    """The YAML file of the watched folder."""

    owners: list[Owner] = Field(description="E-mail addresses, or teams as `team:name`")
    dataset: str = Field(min_length=1, description="Dataset of the tables, which are named after the files")
    state: State = Field(State.RUNNING, description="Of the sensor, before a person flips the switch in the UI")
