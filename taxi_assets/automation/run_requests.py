"""The months that a schedule or a sensor requests, and the reasons why it skips the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

import dagster as dg

from taxi_assets.automation.loaded import Loaded
from taxi_assets.environment import Environment
from taxi_assets.errors import TaxiError
from taxi_assets.instance.history import FILE_TAG, last_attempt, months_in_progress
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.sources.probe import Probed
from taxi_assets.sources.record import Published
from taxi_assets.trips.months import month_name, next_month

RETRY_AFTER = timedelta(days=1)
"""The time after a transient failure until the same version of a file is requested again."""

_NEW_YORK = ZoneInfo("America/New_York")


class SkipCause(Enum):
    """Why a month is not requested."""

    SOURCE_ERROR = "could not be asked for ({})"
    NOT_PUBLISHED = "is not published"
    IN_PROGRESS = "has a run that waits or is under way"
    LOADED = "is loaded already"
    OUTDATED = "is loaded by older rules or columns: a person loads it again ({})"
    FAILED = "failed in run {}: it is asked for again when its file changes, or by a person"
    FAILED_TRANSIENTLY = "failed in run {}: it is asked for again a day after that"


@dataclass(frozen=True)
class Skip:
    """A month that is not requested; `detail` is the error or the run that the cause speaks of."""

    cause: SkipCause
    detail: str = ""

    def __str__(self) -> str:
        return self.cause.value.format(self.detail)


@dataclass(frozen=True)
class _Wanted:
    """A month that is requested: the version of its file, and how many runs there were for that version."""

    version: str
    attempts: int


@dataclass(frozen=True)
class RunDecision:
    """What to run now.

    Attributes:
        requests: One run a month, of the pipeline's whole job.
        skips: Name of each other month → why it is not requested.
    """

    requests: Sequence[dg.RunRequest]
    skips: Mapping[str, Skip]

    def skip_reason(self, pipeline: PipelineSpec) -> dg.SkipReason:
        """The reasons of all skipped months."""
        reasons = "; ".join(f"{month} {skip}" for month, skip in self.skips.items())
        return dg.SkipReason(f"{pipeline.name}: {reasons or 'the pipeline has no month yet'}.")


def newest_months(pipeline: PipelineSpec, count: int, today: date | None = None) -> list[date]:
    """The newest months that are over, oldest first; none before the pipeline's first.

    Args:
        pipeline: The pipeline.
        count: How many months.
        today: The date in New York; without it, today's.
    """
    today = today or datetime.now(_NEW_YORK).date()
    months = [date(today.year, today.month, 1)]
    while len(months) <= count:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return sorted(month for month in months[1:] if month >= pipeline.first_month and next_month(month) <= today)


def version_of(published: Published) -> str:
    """A short name of a version of a file."""
    return hashlib.sha256(json.dumps(asdict(published), sort_keys=True).encode()).hexdigest()[:16]


def decide(
    instance: dg.DagsterInstance,
    pipeline: PipelineSpec,
    probed: Probed,
    loads: Mapping[date, Loaded],
    *,
    changed: bool,
) -> RunDecision:
    """Decides month by month.

    Args:
        instance: Dagster's records of runs.
        pipeline: The pipeline.
        probed: Month → what its source publishes.
        loads: Month → its loads.
        changed: Whether a month that is loaded from an older version of its file is requested again.
    """
    busy = months_in_progress(instance, pipeline)
    requests: list[dg.RunRequest] = []
    skips: dict[str, Skip] = {}
    for month, published in probed.items():
        name = month_name(month)
        decision = _decide_month(instance, pipeline, published, loads[month], name in busy, changed)
        if isinstance(decision, Skip):
            skips[name] = decision
        else:
            requests.append(_request(pipeline, name, decision, loads[month]))
    return RunDecision(requests, skips)


def _decide_month(
    instance: dg.DagsterInstance,
    pipeline: PipelineSpec,
    published: Published | TaxiError | None,
    loaded: Loaded,
    busy: bool,
    changed: bool,
) -> _Wanted | Skip:
    if isinstance(published, TaxiError):
        detail = " ".join(filter(None, (published.summary, published.details.get("Found"))))
        return Skip(SkipCause.SOURCE_ERROR, detail)
    if published is None:
        return Skip(SkipCause.NOT_PUBLISHED)
    if busy:
        return Skip(SkipCause.IN_PROGRESS)
    if not loaded.missing and (loaded.is_from(published) or not changed):
        if loaded.outdated:
            return Skip(SkipCause.OUTDATED, f"taxi run {pipeline.name} --months outdated")
        return Skip(SkipCause.LOADED)
    version = version_of(published)
    last = last_attempt(instance, pipeline, version)
    if last and not last.succeeded:
        if not last.transient:
            return Skip(SkipCause.FAILED, last.run_id[:8])
        if datetime.now(UTC) - last.ended < RETRY_AFTER:
            return Skip(SkipCause.FAILED_TRANSIENTLY, last.run_id[:8])
    return _Wanted(version, last.number if last else 0)


def _request(pipeline: PipelineSpec, month: str, wanted: _Wanted, loaded: Loaded) -> dg.RunRequest:
    after = (loaded.newest.id or str(loaded.newest.loaded_at)) if loaded.newest else 0
    return dg.RunRequest(
        run_key=f"{pipeline.name} {month} {wanted.version} after load {after} try {wanted.attempts + 1}",
        partition_key=month,
        run_config=Environment.here().run_config,
        tags={FILE_TAG: wanted.version},
    )
