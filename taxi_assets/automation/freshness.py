"""Lateness: whether the newest month that should be there by now stands in every store of a pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from taxi_assets.automation.loaded import Loaded, MonthSelection, loaded
from taxi_assets.automation.run_requests import newest_months
from taxi_assets.failures import dagster_failures
from taxi_assets.pipeline import LATENESS_CHECK, Freshness, PipelineSpec
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.trips.months import month_name, next_month

_MONTHS_BACK = 24


@dataclass(frozen=True)
class Lateness:
    """The newest month that is due.

    Attributes:
        month: The month.
        due: The day by which every store should have it.
        days: How many days it is late; 0 if every store has it.
        missing: The stores that lack it.
    """

    month: date
    due: date
    days: int
    missing: list[str]


def lateness(loads: Mapping[date, Loaded], days: int, today: date) -> Lateness | None:
    """How late the newest month is that is due by today; None where none is due yet.

    Args:
        loads: Month → its loads.
        days: Days after a month's end by which every store should have it.
        today: The date.
    """
    due = {month: next_month(month) + timedelta(days=days) for month in loads}
    over = [month for month in loads if due[month] <= today]
    if not over:
        return None
    month = max(over)
    missing = list(loads[month].missing)
    return Lateness(month, due[month], (today - due[month]).days if missing else 0, missing)


def freshness(pipeline: PipelineSpec, spec: Freshness) -> dg.Definitions:
    """The check `newest_month_not_late` on the pipeline's last store, and the schedule that evaluates it."""
    last = list(pipeline.stores.values())[-1]

    @dg.asset_check(
        asset=dg.AssetKey([pipeline.name, last]),
        name=LATENESS_CHECK,
        description=f"The newest month stands in every store {spec.days} days after its end.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, postgres: PostgresResource, trip_source: TripSourceResource
    ) -> dg.AssetCheckResult:
        months = newest_months(pipeline, _MONTHS_BACK)
        with dagster_failures(), postgres.connect() as connection:
            loads = loaded(connection, MonthSelection(pipeline, list(pipeline.stores), months))
            if trip_source.source().synthetic:
                return dg.AssetCheckResult(passed=True, description="The trips are synthetic: no month is ever due.")
        newest = lateness(loads, spec.days, datetime.now(UTC).date())
        return dg.AssetCheckResult(
            passed=newest is None or not newest.missing,
            severity=dg.AssetCheckSeverity.WARN,
            description=_description(pipeline, newest),
            metadata={"days_late": newest.days, "month": month_name(newest.month)} if newest else {},
        )

    job = dg.define_asset_job(
        f"{pipeline.name}_freshness",
        selection=dg.AssetSelection.checks(check),
        description=f"Checks whether the newest month of {pipeline.name} is late.",
    )
    schedule = dg.ScheduleDefinition(
        name=f"{pipeline.name}_freshness_schedule",
        job=job,
        cron_schedule=spec.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus[spec.state.name],
    )
    return dg.Definitions(asset_checks=[check], jobs=[job], schedules=[schedule])


def _description(pipeline: PipelineSpec, newest: Lateness | None) -> str:
    if newest is None:
        return "No month is due yet."
    name = f"{pipeline.name} {month_name(newest.month)}"
    if not newest.missing:
        return f"{name}, the newest month that is due, stands in every store."
    return f"{name} was due on {newest.due}, {newest.days} days ago, and is missing in: {', '.join(newest.missing)}."
