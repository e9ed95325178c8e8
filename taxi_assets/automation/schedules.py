"""The schedule of a pipeline: requests the published months among the newest that are not loaded yet."""

import dagster as dg

from taxi_assets.automation.loaded import MonthSelection, loaded
from taxi_assets.automation.run_requests import decide, newest_months
from taxi_assets.pipeline import PipelineSpec, Schedule
from taxi_assets.settings import settings
from taxi_assets.sources.probe import probe
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.postgres.resource import PostgresResource


def schedule(pipeline: PipelineSpec, spec: Schedule) -> dg.ScheduleDefinition:
    """The schedule `{job}_schedule`, which starts the job of a pipeline."""

    @dg.schedule(
        name=f"{pipeline.job}_schedule",
        job_name=pipeline.job,
        cron_schedule=spec.cron,
        execution_timezone=spec.timezone,
        default_status=dg.DefaultScheduleStatus[spec.state.name],
        description=f"Loads the published months of {pipeline.name} among the newest that a store lacks.",
    )
    def request_missing_months(
        context: dg.ScheduleEvaluationContext, postgres: PostgresResource, trip_source: TripSourceResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        months = newest_months(pipeline, settings().taxi_newest_months)
        with postgres.connect() as connection:
            loads = loaded(connection, MonthSelection(pipeline, list(pipeline.stores), months))
        probed = probe(trip_source.source(), pipeline.service, {month: loads[month].file for month in loads})
        decision = decide(context.instance, pipeline, probed, loads, changed=False)
        return list(decision.requests) or decision.skip_reason(pipeline)

    return request_missing_months
