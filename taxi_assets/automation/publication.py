"""The sensor of a pipeline: loads a month as soon as it is published, and again when it is published anew.

It asks the source for the newest months that are missing or may have changed, with conditional requests, and remembers
in its cursor what it found. A run key names the version of the file, so that nothing runs twice.
"""

from collections.abc import Mapping
from datetime import date

import dagster as dg
from pydantic import Field, TypeAdapter, ValidationError

from taxi_assets.automation.loaded import Loaded, MonthSelection, loaded
from taxi_assets.automation.run_requests import Probed, decide, newest_months, probe
from taxi_assets.automation.schedules import State
from taxi_assets.pipeline import Pipeline
from taxi_assets.settings import settings
from taxi_assets.sources.record import Published
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.postgres.resource import PostgresResource

_CURSOR = TypeAdapter(dict[date, Published])
_MADE_UP = (
    "The sample source makes up any month: nothing is ever published there. Name a source in TAXI_SOURCE_URL; "
    "or load a month by hand."
)


class Publication(dg.Model, dg.Resolvable):
    """How a pipeline watches what its source publishes."""

    state: State = Field("running", description="Before a person flips the switch in the UI")
    newest_months: int | None = Field(
        None, ge=1, description="How many of the newest months it looks after; without it, TAXI_NEWEST_MONTHS"
    )


def publication_sensor(pipeline: Pipeline, told: Publication) -> dg.SensorDefinition:
    """The sensor `{service}_publication`.

    Args:
        pipeline: The pipeline whose job it starts.
        told: What its YAML says.
    """

    @dg.sensor(
        name=f"{pipeline.service}_publication",
        job_name=pipeline.job,
        minimum_interval_seconds=settings().taxi_publication_seconds,
        default_status=dg.DefaultSensorStatus[told.state.upper()],
        description=f"Loads a month of {pipeline.service} when it is published, and again when its file changes.",
    )
    def watch_the_source(
        context: dg.SensorEvaluationContext, postgres: PostgresResource, trip_source: TripSourceResource
    ) -> dg.SensorResult | dg.SkipReason:
        source = trip_source.source()
        if source.sample:
            return dg.SkipReason(_MADE_UP)
        months = newest_months(pipeline, told.newest_months or settings().taxi_newest_months)
        with postgres.connect() as connection:
            loads = loaded(connection, MonthSelection(pipeline, list(pipeline.stores), months))
        seen = _read(context.cursor)
        probed = probe(source, pipeline.service, {month: _known(loads[month], seen.get(month)) for month in months})
        found = decide(context.instance, pipeline, probed, loads, changed=True)
        skip = None if found.requests else found.skip(pipeline)
        return dg.SensorResult(list(found.requests), skip_reason=skip, cursor=_written(probed, seen))

    return watch_the_source


def _known(loaded: Loaded, seen: Published | None) -> Published | None:
    """What was found the last time, unless another file has been loaded since."""
    return seen if seen and (loaded.file is None or loaded.file.url == seen.url) else loaded.file


def _read(cursor: str | None) -> Mapping[date, Published]:
    try:
        return _CURSOR.validate_json(cursor) if cursor else {}
    except ValidationError:
        return {}


def _written(probed: Probed, seen: Mapping[date, Published]) -> str:
    """What is published of each month now; where the source did not answer, what was known."""
    now = {
        month: seen.get(month) if isinstance(published, Exception) else published for month, published in probed.items()
    }
    return _CURSOR.dump_json({month: published for month, published in now.items() if published}).decode()
