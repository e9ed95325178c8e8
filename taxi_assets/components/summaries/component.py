"""The component behind the summaries' YAML file."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from taxi_assets.components.metadata import with_attributes
from taxi_assets.components.summaries.checks import adds_up
from taxi_assets.components.summaries.columns import PER_DAY, PER_ZONE_HOUR, REVENUE_PER_ZONE
from taxi_assets.components.summaries.of_pipeline import PipelineSummaries
from taxi_assets.components.summaries.per_day import trips_per_day
from taxi_assets.components.summaries.per_zone_hour import trips_per_zone_hour
from taxi_assets.components.summaries.revenue import revenue_per_zone
from taxi_assets.components.summaries.zones import taxi_zones, zone_sensor, zone_table_checks
from taxi_assets.components.yaml_component import YamlComponent
from taxi_assets.pipelines import read_files
from taxi_assets.specs import SummariesSpec

INTERVAL_SECONDS = 30


class Summaries(SummariesSpec, YamlComponent):
    """Small tables about the trips, and the table of taxi zones; see the package.

    They follow the pipelines by themselves: no job of a pipeline holds them, and `taxi run` does not bring them along.
    """

    pipelines: Sequence[PipelineSummaries]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets, their checks, and the sensors that start them."""
        assets = [taxi_zones(self.taxi_zones)]
        checks = [zone_table_checks(self.taxi_zones)]
        broken = read_files().broken
        for summaries in self.pipelines:
            if summaries.pipeline in broken:
                continue
            for asset, check in self._of(summaries):
                assets.append(asset)
                checks.append(check)
        following = dg.AutomationConditionSensorDefinition(
            "summaries",
            target=dg.AssetSelection.assets(*assets),
            minimum_interval_seconds=INTERVAL_SECONDS,
            default_status=dg.DefaultSensorStatus[self.state.name],
            description="Makes the summaries of a month when it stands in BigQuery and passed its blocking checks.",
        )
        return dg.Definitions(
            with_attributes(assets, group_name="summaries", owners=self.owners, code_version="1"),
            asset_checks=checks,
            sensors=[following, zone_sensor(self.state)],
        )

    def _of(self, summaries: PipelineSummaries) -> Sequence[tuple[dg.AssetsDefinition, dg.AssetChecksDefinition]]:
        pairs = []
        if table := summaries.trips_per_day:
            asset = trips_per_day(summaries, table)
            pairs.append((asset, adds_up(summaries, "trips_per_day", table, PER_DAY)))
        if table := summaries.trips_per_zone_hour:
            asset = trips_per_zone_hour(summaries, table)
            pairs.append((asset, adds_up(summaries, "trips_per_zone_hour", table, PER_ZONE_HOUR)))
        if table := summaries.revenue_per_zone:
            asset = revenue_per_zone(summaries, table, self.taxi_zones)
            pairs.append((asset, adds_up(summaries, "revenue_per_zone", table, REVENUE_PER_ZONE)))
        return pairs
