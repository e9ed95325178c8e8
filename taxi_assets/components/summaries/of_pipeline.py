"""The summaries of one pipeline: their tables, and when they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from taxi_assets.components import metadata
from taxi_assets.components.taxi_pipeline.assets import RETRIES, months_since
from taxi_assets.errors import TaxiError
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import pipeline_for
from taxi_assets.settings import settings
from taxi_assets.specs import SummaryTables
from taxi_assets.stores.bigquery.loaded import HeldLoad, held_load
from taxi_assets.stores.bigquery.metadata import table_metadata
from taxi_assets.stores.cleaned import CleanedFiles
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.table import Table, TableRef
from taxi_assets.trips.columns import Service
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable

ZONES_KEY = dg.AssetKey("taxi_zones")


class PipelineSummaries(SummaryTables):
    """The tables of a pipeline's summaries, and what their assets share."""

    @property
    def spec(self) -> PipelineSpec:
        """Its pipeline."""
        return pipeline_for(self.pipeline)

    @property
    def trips(self) -> Service:
        """The service that the pipeline reads, and its columns."""
        return self.spec.trips

    @property
    def trips_table(self) -> TableRef:
        """The table of the trips."""
        if self.spec.bigquery is None:
            raise ValueError(f"the pipeline {self.pipeline} has no BigQuery")
        return self.spec.bigquery

    def key(self, name: str) -> dg.AssetKey:
        """The key of one of its assets, or of its pipeline's."""
        return dg.AssetKey([self.pipeline, name])

    def held_in_bigquery(self, cloud: GoogleCloud, context: dg.AssetExecutionContext) -> HeldLoad | None:
        """What BigQuery holds of the month; None: nothing, so there is nothing to add up.

        A month that was loaded into another dataset starts its summaries, too.
        """
        held = held_load(cloud, self.trips_table, parse_month(context.partition_key))
        if held is None:
            context.log.info(f"{self.trips_table} does not hold {context.partition_key}: its summary is skipped.")
        return held

    def rows_in_bigquery(self, held: HeldLoad, context: dg.AssetExecutionContext) -> TripTable:
        """The cleaned rows that BigQuery holds for the month: of a full month, never of a trial or another cleaning.

        Raises:
            TaxiError: They are not on this machine.
        """
        month = context.partition_key
        files = CleanedFiles(settings().taxi_home, self.pipeline, month)
        if rows := files.matching(held.is_of, context.run_id):
            return rows
        raise TaxiError(
            f"The cleaned rows of {self.pipeline} {month} that BigQuery holds are not on this machine.",
            expected=f"a full month of {held.rows:,} rows, from the file {held.sha256}",
            found="other cleanings, or none",
            where=str(files.folder("clean")),
            intact="the summary, as it was",
            next_step=f"load the month again: taxi run {self.pipeline} --months {month} --force",
        )

    def asset(
        self, name: str, table: Table, lineage: dg.TableColumnLineage, tool: str, **options: Any
    ) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
        """`dg.asset` with what every summary has; `tool` is what adds it up."""
        decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
            key=self.key(name),
            description=table.description,
            partitions_def=months_since(self.spec.start),
            metadata={**table_metadata(table), metadata.LINEAGE: lineage},
            automation_condition=follows(self),
            output_required=False,
            retry_policy=RETRIES,
            pool="bigquery",
            kinds={"bigquery", tool},
            **options,
        )
        return decorator


Condition = dg.AutomationCondition


def follows(summaries: PipelineSummaries) -> dg.AutomationCondition[dg.AssetKey]:
    """Once for each month, of any year, that stands in BigQuery, and again after each load of it.

    A month counts as arrived when its run wrote `bigquery_table`: what `--only postgres` cleans again starts nothing.
    Unlike `AutomationCondition.eager()`, this looks at every month, not the latest alone, and also at months that were
    loaded before the daemon ever ran. A summary that failed is not tried again until its month is loaded anew.
    """
    passed = Condition.all_checks_match(Condition.check_passed(), blocking_only=True)
    arrives = Condition.any_deps_updated().allow(dg.AssetSelection.assets(summaries.key("bigquery_table"), ZONES_KEY))
    due = (Condition.missing().newly_true() | arrives).since(Condition.newly_requested() | Condition.newly_updated())
    return (
        due
        & ~Condition.any_deps_missing()
        & ~Condition.any_deps_in_progress()
        & ~Condition.in_progress()
        & Condition.all_deps_blocking_checks_passed()
        # Also of what stands before the tables that a summary reads.
        & Condition.asset_matches(summaries.key("clean_taxi"), passed)
        & Condition.asset_matches(summaries.key("gcs_parquet"), passed)
    ).with_label("the month stands in BigQuery and passed its blocking checks")
