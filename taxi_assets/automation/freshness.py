"""Lateness: whether the newest month that should be there by now stands in every store of a pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from pydantic import Field

from taxi_assets.automation.loaded import Loaded, MonthSelection, loaded
from taxi_assets.automation.run_requests import newest_months
from taxi_assets.automation.schedules import State
from taxi_assets.failures import dagster_failures
from taxi_assets.pipeline import Pipeline
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.trips.months import month_name, next_month

_MONTHS_BACK = 24


class Freshness(dg.Model, dg.Resolvable):
    """How late a month may be."""

    days: int = Field(ge=0, description="Days after a month's end by which it stands in every store")
    cron: str = Field("0 6 * * *", description="When that is checked, in UTC")
    state: State = Field("running", description="Before a person flips the switch in the UI")


@dataclass(frozen=True)
class Lateness:
    """The newest month that is due.

    Attributes:
        month: That month.
        due: The day by which it had to be there.
        days: How many days it is late; 0: it is there.
        missing: The stores that lack it.
    """

    month: date
    due: date
    days: int
    missing: list[str]


def lateness(loads: Mapping[date, Loaded], days: int, today: date) -> Lateness | None:
    """How late the newest month is that had to be there by today; None where none is due yet.

    Args:
        loads: What is loaded of each month.
        days: Days after a month's end by which it has to be there.
        today: The date.
    """
    due = {month: next_month(month) + timedelta(days=days) for month in loads}
    over = [month for month in loads if due[month] <= today]
    if not over:
        return None
    month = max(over)
    missing = list(loads[month].missing)
    return Lateness(month, due[month], (today - due[month]).days if missing else 0, missing)


def freshness(pipeline: Pipeline, told: Freshness) -> dg.Definitions:
    """The check `newest_month_not_late` on the pipeline's last store, and the schedule that evaluates it.

    Args:
        pipeline: The pipeline.
        told: What its YAML says.
    """
    last = list(pipeline.stores.values())[-1]

    @dg.asset_check(
        asset=dg.AssetKey([pipeline.service, last]),
        name="newest_month_not_late",
        description=f"The newest month stands in every store {told.days} days after its end.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, postgres: PostgresResource, trip_source: TripSourceResource
    ) -> dg.AssetCheckResult:
        months = newest_months(pipeline, _MONTHS_BACK)
        with dagster_failures(), postgres.connect() as connection:
            loads = loaded(connection, MonthSelection(pipeline, list(pipeline.stores), months))
            if trip_source.source().sample:
                return dg.AssetCheckResult(passed=True, description="The trips are made up: no month is ever due.")
        found = lateness(loads, told.days, datetime.now(UTC).date())
        late = found is not None and bool(found.missing)
        return dg.AssetCheckResult(
            passed=not late,
            severity=dg.AssetCheckSeverity.WARN,
            description=_says(pipeline, found),
            metadata={"days_late": found.days, "month": month_name(found.month)} if found else {},
        )

    job = dg.define_asset_job(
        f"{pipeline.service}_freshness",
        selection=dg.AssetSelection.checks(check),
        description=f"Checks whether the newest month of {pipeline.service} is late.",
    )
    schedule = dg.ScheduleDefinition(
        name=f"{pipeline.service}_freshness_schedule",
        job=job,
        cron_schedule=told.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus[told.state.upper()],
    )
    return dg.Definitions(asset_checks=[check], jobs=[job], schedules=[schedule])


def _says(pipeline: Pipeline, found: Lateness | None) -> str:
    if found is None:
        return "No month is due yet."
    name = f"{pipeline.service} {month_name(found.month)}"
    if not found.missing:
        return f"{name}, the newest month that is due, stands in every store."
    return f"{name} was due on {found.due}, {found.days} days ago, and is missing in: {', '.join(found.missing)}."
