"""Which months a schedule or a sensor asks for, and why not the others: one judgement for both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from taxi_assets.automation.loaded import Loaded
from taxi_assets.errors import TaxiError
from taxi_assets.instance.history import FILE_TAG, last_attempt, months_in_progress
from taxi_assets.pipeline import Pipeline
from taxi_assets.sources.record import Published
from taxi_assets.sources.retry import RetryPolicy
from taxi_assets.sources.source import TripSource
from taxi_assets.trips.months import month_name, next_month

AGAIN_AFTER = timedelta(days=1)
"""How long a version whose load failed for something that may pass is left in peace."""

_PROBE = RetryPolicy(attempts=2, first_wait=0.5, connect_timeout=5, read_timeout=10)
_NEW_YORK = ZoneInfo("America/New_York")

Probed = Mapping[date, Published | TaxiError | None]
"""What a source said of each month: what is published, an error, or None: nothing is."""


@dataclass(frozen=True)
class RunDecision:
    """What to run now.

    Attributes:
        requests: One run a month, of the pipeline's whole job.
        reasons: Of each other month, why not.
    """

    requests: Sequence[dg.RunRequest]
    reasons: Sequence[str]

    def skip(self, pipeline: Pipeline) -> dg.SkipReason:
        """Why there is nothing to run."""
        return dg.SkipReason(f"{pipeline.service}: {'; '.join(self.reasons) or 'the pipeline has no month yet'}.")


def newest_months(pipeline: Pipeline, count: int, today: date | None = None) -> list[date]:
    """The newest months that are over, oldest first; none before the pipeline's first.

    Args:
        pipeline: The pipeline.
        count: How many.
        today: In New York; without it, the date there now.
    """
    today = today or datetime.now(_NEW_YORK).date()
    months = [date(today.year, today.month, 1)]
    while len(months) <= count:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return sorted(month for month in months[1:] if month >= pipeline.start and next_month(month) <= today)


def probe(source: TripSource, service: str, known: Mapping[date, Published | None]) -> Probed:
    """Asks the source about each month, side by side; an error of one holds up no other.

    Args:
        source: The source.
        service: `yellow` or `green`.
        known: The months, each with what is known of its file already.
    """
    quick = replace(source, retry_policy=replace(_PROBE, attempts=min(_PROBE.attempts, source.retry_policy.attempts)))

    def ask(month: date) -> Published | TaxiError | None:
        try:
            return quick.probe(service, month, known=known[month])
        except TaxiError as error:
            return error

    with ThreadPoolExecutor(max_workers=max(1, len(known))) as pool:
        return dict(zip(known, pool.map(ask, known), strict=True))


def version_of(published: Published) -> str:
    """A short name of a version of a file."""
    return hashlib.sha256(json.dumps(asdict(published), sort_keys=True).encode()).hexdigest()[:16]


def decide(
    instance: dg.DagsterInstance,
    pipeline: Pipeline,
    probed: Probed,
    loads: Mapping[date, Loaded],
    *,
    changed: bool,
) -> RunDecision:
    """Decides month by month.

    Args:
        instance: Knows the runs.
        pipeline: The pipeline.
        probed: What the source said of each month.
        loads: What is loaded of each month.
        changed: Whether a month that is loaded from an older version of its file is asked for again.
    """
    busy = months_in_progress(instance, pipeline.service)
    requests, reasons = [], []
    for month, published in probed.items():
        name = month_name(month)
        found = _decide_month(instance, published, loads[month], name in busy, changed)
        if isinstance(found, str):
            reasons.append(f"{name} {found}")
        else:
            requests.append(_request(pipeline, name, found, loads[month]))
    return RunDecision(requests, reasons)


@dataclass(frozen=True)
class _Request:
    """A month that is to be run: the version of its file, and how many runs there were for it."""

    version: str
    attempts: int


def _decide_month(
    instance: dg.DagsterInstance, published: Published | TaxiError | None, loaded: Loaded, busy: bool, changed: bool
) -> _Request | str:
    if isinstance(published, TaxiError):
        return f"could not be asked for ({published.summary} {published.details.get('Found', '')})".replace(" )", ")")
    if published is None:
        return "is not published"
    if busy:
        return "has a run that waits or is under way"
    if not loaded.missing and (loaded.is_from(published) or not changed):
        return "is loaded already"
    version = version_of(published)
    last = last_attempt(instance, version)
    if last and not last.succeeded:
        run = f"run {last.run_id[:8]}"
        if not last.transient:
            return f"failed in {run}: it is asked for again when its file changes, or by a person"
        if datetime.now(UTC) - last.ended < AGAIN_AFTER:
            return f"failed in {run}: it is asked for again a day after that"
    return _Request(version, last.number if last else 0)


def _request(pipeline: Pipeline, month: str, wanted: _Request, loaded: Loaded) -> dg.RunRequest:
    after = loaded.newest.id if loaded.newest else 0
    return dg.RunRequest(
        run_key=f"{pipeline.service} {month} {wanted.version} after load {after} try {wanted.attempts + 1}",
        partition_key=month,
        tags={FILE_TAG: wanted.version},
    )
