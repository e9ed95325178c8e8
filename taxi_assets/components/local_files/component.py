"""The component behind the YAML file of the watched folder."""

from __future__ import annotations

import dagster as dg
from pydantic import Field

from taxi_assets.components.local_files.assets import FILES, GROUP, file_table, sorted_file
from taxi_assets.components.local_files.sensor import folder_sensor
from taxi_assets.components.metadata import with_code_references
from taxi_assets.pipeline import State


class LocalFiles(dg.Component, dg.Model, dg.Resolvable):
    """A watched folder: each of its CSV and Parquet files goes to the bucket and into a table of BigQuery."""

    owners: list[str] = Field(description="E-mail addresses, or teams as `team:name`")
    dataset: str = Field(description="Dataset of the tables, which are named after the files")
    state: State = Field(State.RUNNING, description="Of the sensor, before a person flips the switch in the UI")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets, the job for a file, and the sensor that starts it."""
        assets = [sorted_file(self.owners), file_table(self.dataset, self.owners)]
        job = dg.define_asset_job(
            GROUP,
            selection=dg.AssetSelection.assets(*assets),
            partitions_def=FILES,
            description="One file of the watched folder: to the bucket, and into its table.",
        )
        return dg.Definitions(with_code_references(assets), jobs=[job], sensors=[folder_sensor(job, self.state)])
