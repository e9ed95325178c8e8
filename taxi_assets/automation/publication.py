"""The sensor of a pipeline: loads a month as soon as it is published, and again when it is published anew.

It asks the source about the newest months, with conditional requests, and keeps the answers in its cursor. A run key
names the version of the file, so that nothing runs twice.
"""

from collections.abc import Mapping
from datetime import date

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from taxi_assets.automation.loaded import Loaded, MonthSelection, loaded
from taxi_assets.automation.run_requests import decide, newest_months
from taxi_assets.pipeline import PipelineSpec, Publication
from taxi_assets.settings import settings
from taxi_assets.sources.probe import Probed, probe
from taxi_assets.sources.record import Published
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.postgres.resource import PostgresResource

_CURSOR = TypeAdapter(dict[date, Published])
_SAMPLE_SOURCE = (
    "The sample source generates any month: nothing is ever published there. Name a source in TAXI_SOURCE_URL, "
    "or load a month by hand."
)


def publication_sensor(pipeline: PipelineSpec, spec: Publication) -> dg.SensorDefinition:
    """The sensor `{service}_publication`, which starts the job of a pipeline."""

    @dg.sensor(
        name=f"{pipeline.name}_publication",
        job_name=pipeline.job,
        minimum_interval_seconds=settings().taxi_publication_seconds,
        default_status=dg.DefaultSensorStatus[spec.state.name],
        description=f"Loads a month of {pipeline.name} when it is published, and again when its file changes.",
    )
    def watch_source(
        context: dg.SensorEvaluationContext, postgres: PostgresResource, trip_source: TripSourceResource
    ) -> dg.SensorResult | dg.SkipReason:
        source = trip_source.source()
        if source.synthetic:
            return dg.SkipReason(_SAMPLE_SOURCE)
        months = newest_months(pipeline, spec.newest_months or settings().taxi_newest_months)
        with postgres.connect() as connection:
            loads = loaded(connection, MonthSelection(pipeline, list(pipeline.stores), months))
        seen = _read_cursor(context.cursor)
        probed = probe(source, pipeline.service, {month: _known(loads[month], seen.get(month)) for month in months})
        decision = decide(context.instance, pipeline, probed, loads, changed=True)
        skip_reason = None if decision.requests else decision.skip_reason(pipeline)
        return dg.SensorResult(list(decision.requests), skip_reason=skip_reason, cursor=_next_cursor(probed, seen))

    return watch_source


def _known(loaded: Loaded, seen: Published | None) -> Published | None:
    """The answer of the last tick, unless another file has been loaded since."""
    return seen if seen and (loaded.file is None or loaded.file.url == seen.url) else loaded.file


def _read_cursor(cursor: str | None) -> Mapping[date, Published]:
    try:
        return _CURSOR.validate_json(cursor) if cursor else {}
    except ValidationError:
        return {}


def _next_cursor(probed: Probed, seen: Mapping[date, Published]) -> str:
    """What is published of each month now; without an answer of the source, what was known."""
    known = {
        month: seen.get(month) if isinstance(published, Exception) else published for month, published in probed.items()
    }
    return _CURSOR.dump_json({month: published for month, published in known.items() if published}).decode()
