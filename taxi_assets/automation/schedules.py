"""The schedule of a pipeline: asks for the published months among the newest that are not loaded yet."""

from typing import Literal

import dagster as dg
from pydantic import Field

from taxi_assets.automation.loaded import MonthSelection, loaded
from taxi_assets.automation.run_requests import decide, newest_months, probe
from taxi_assets.pipeline import Pipeline
from taxi_assets.settings import settings
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.postgres.resource import PostgresResource

State = Literal["running", "stopped"]


class Schedule(dg.Model, dg.Resolvable):
    """When a pipeline looks for months that are missing."""

    cron: str = Field(description="When, as cron writes it: `0 5 * * *`")
    timezone: str = Field("UTC", description="The time zone of that, like `America/New_York`")
    state: State = Field("running", description="Before a person flips the switch in the UI")


def schedule(pipeline: Pipeline, told: Schedule) -> dg.ScheduleDefinition:
    """The schedule `{job}_schedule`.

    Args:
        pipeline: The pipeline whose job it starts.
        told: What its YAML says.
    """

    @dg.schedule(
        name=f"{pipeline.job}_schedule",
        job_name=pipeline.job,
        cron_schedule=told.cron,
        execution_timezone=told.timezone,
        default_status=dg.DefaultScheduleStatus[told.state.upper()],
        description=f"Loads the published months of {pipeline.service} among the newest that a store lacks.",
    )
    def ask_for_missing_months(
        context: dg.ScheduleEvaluationContext, postgres: PostgresResource, trip_source: TripSourceResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        wanted = MonthSelection(pipeline, list(pipeline.stores), newest_months(pipeline, settings().taxi_newest_months))
        with postgres.connect() as connection:
            loads = loaded(connection, wanted)
        probed = probe(trip_source.source(), pipeline.service, {month: loads[month].file for month in loads})
        found = decide(context.instance, pipeline, probed, loads, changed=False)
        return list(found.requests) or found.skip(pipeline)

    return ask_for_missing_months
