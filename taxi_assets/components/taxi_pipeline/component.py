"""The component of a pipeline: one service's way from the TLC's file to the stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, Field

from taxi_assets.automation.freshness import freshness
from taxi_assets.automation.publication import publication_sensor
from taxi_assets.automation.schedules import schedule
from taxi_assets.components import metadata
from taxi_assets.components.taxi_pipeline import assets, checks
from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.components.taxi_pipeline.scaffolder import PipelineScaffolder
from taxi_assets.components.yaml_component import YamlComponent
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import read_files


@dg.scaffold_with(PipelineScaffolder)
class TaxiPipeline(PipelineSpec, YamlComponent):
    """One taxi service: its files are fetched month by month, cleaned, and loaded into the stores.

    Makes the assets `{name}/raw_taxi`, `clean_taxi`, `rejected_taxi`, `postgres_table`, `gcs_parquet` and
    `bigquery_table`, their checks, a job that runs all of them for a month, and what starts it.
    """

    # The file need not give it: see `given_by`.
    name: str = Field("", description=PipelineSpec.model_fields["name"].description)

    @classmethod
    def given_by(cls, folder: Path) -> dict[str, Any]:
        """The name, by default the folder's."""
        return {"name": folder.name}

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Makes the component from its file.

        Raises:
            InvalidYaml: The file is not valid, or another pipeline has the same name, job or table.
        """
        component = super().load(attributes, context)
        if error := read_files(context.path.parent).broken.get(context.path.name):
            raise error
        return component

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Makes the assets, the checks, the job, and what starts it."""
        chain = [assets.raw_taxi(self), assets.clean_taxi(self), assets.postgres_table(self)]
        monthly = [checks.clean_checks(self), checks.postgres_checks(self)]
        if self.trips.zones:
            monthly.append(checks.zone_checks(self))
        if self.lake:
            chain.append(assets.gcs_parquet(self, self.lake))
            monthly.append(checks.lake_checks(self))
        if self.bigquery:
            chain.append(assets.bigquery_table(self, self.bigquery))
            monthly.append(checks.bigquery_checks(self, self.bigquery))
        job = dg.define_asset_job(
            self.job,
            # Without the check of lateness, which belongs to no month.
            selection=dg.AssetSelection.assets(*chain).without_checks() | dg.AssetSelection.checks(*monthly),
            partitions_def=months_since(self.start),
            description=f"{self.trips.title}: one month's file into every store.",
        )
        shared = {"group_name": self.name, "owners": self.owners, "code_version": self.version}
        definitions = dg.Definitions(metadata.with_attributes(chain, **shared), asset_checks=monthly, jobs=[job])
        return dg.Definitions.merge(definitions, self._automation())

    def _automation(self) -> dg.Definitions:
        automation = dg.Definitions(
            schedules=[schedule(self, self.schedule)] if self.schedule else [],
            sensors=[publication_sensor(self, self.publication)] if self.publication else [],
        )
        return dg.Definitions.merge(automation, freshness(self, self.freshness)) if self.freshness else automation
