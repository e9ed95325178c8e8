"""The runs of a month: those in progress, and the end of the last attempt at a version of its file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from taxi_assets.failures import TRANSIENT
from taxi_assets.instance.dagster_private import requested_backfills
from taxi_assets.pipeline import LOADED_FIRST, PipelineSpec

if TYPE_CHECKING:
    from taxi_assets.instance.dagster_private import PartitionBackfill

FILE_TAG = "taxi/file"
"""The tag with the version of the month's file for which a run was requested."""
NOT_PUBLISHED_TAG = "taxi/not_published"
"""The tag of a run that found its month not published, "true": it ended well, and loaded nothing."""

_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
BACKFILL_TAG = "dagster/backfill"
"""The tag of a run with the id of its backfill."""
_PARTITION_TAG = "dagster/partition"
_WILL_RETRY_TAG = "dagster/will_retry"
_RETRIED_TAG = "dagster/auto_retry_run_id"


@dataclass(frozen=True)
class Attempt:
    """The last run for a version of a file.

    Attributes:
        run_id: The run.
        number: The number of runs for that version, this one included.
        ended: The time of its end.
        transient: Whether it failed for a transient reason.
        succeeded: Whether it succeeded, and its file was there.
    """

    run_id: str
    number: int
    ended: datetime
    transient: bool
    succeeded: bool


def months_in_progress(instance: dg.DagsterInstance, pipeline: PipelineSpec) -> set[str]:
    """The months of a pipeline with a run that has not ended, or will be retried, or that a backfill still begins."""
    months = set()
    unfinished = [status for status in dg.DagsterRunStatus if status not in _ENDED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        if _belongs_to(run, pipeline):
            months.add(run.tags.get(_PARTITION_TAG, ""))
    # Between a failure and its retry there is a moment without a run.
    retried = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={_WILL_RETRY_TAG: "true"})
    for run in instance.get_runs(retried, limit=100):
        if _belongs_to(run, pipeline) and _RETRIED_TAG not in run.tags:
            months.add(run.tags.get(_PARTITION_TAG, ""))
    for backfill in requested_backfills(instance):
        # The daemon notes the end of a backfill up to a minute after that of its last run.
        runs = instance.get_runs(dg.RunsFilter(tags={BACKFILL_TAG: backfill.backfill_id}))
        months.update(set(_months_of(backfill, pipeline)) - {run.tags.get(_PARTITION_TAG) for run in runs})
    return months - {""}


def _belongs_to(run: dg.DagsterRun, pipeline: PipelineSpec) -> bool:
    if run.asset_selection:
        return any(_loads(key, pipeline) for key in run.asset_selection)
    return run.job_name == pipeline.job


def _months_of(backfill: PartitionBackfill, pipeline: PipelineSpec) -> Iterator[str]:
    if backfill.partition_names:
        name = backfill.partition_set_origin.partition_set_name if backfill.partition_set_origin else ""
        yield from backfill.partition_names if name == f"{pipeline.job}_partition_set" else ()
    if backfill.asset_backfill_data:
        targets = backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key
        for key, partitions in targets.items():
            yield from partitions.get_partition_keys() if _loads(key, pipeline) else ()


def _loads(key: dg.AssetKey, pipeline: PipelineSpec) -> bool:
    """Whether the asset is a part of loading a month; the pipeline's summaries are none."""
    return list(key.path) in [pipeline.key(name) for name in (*LOADED_FIRST, *pipeline.stores.values())]


def backfill_months(backfill: PartitionBackfill) -> set[str]:
    """The months of a backfill, of any pipeline."""
    months = set(backfill.partition_names or ())
    if backfill.asset_backfill_data:
        for partitions in backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key.values():
            months.update(partitions.get_partition_keys())
    return months


def last_attempt(instance: dg.DagsterInstance, pipeline: PipelineSpec, version: str) -> Attempt | None:
    """The last run of a pipeline that was requested for a version of a file; None: there was none."""
    records = instance.get_run_records(dg.RunsFilter(job_name=pipeline.job, tags={FILE_TAG: version}), limit=100)
    if not records:
        return None
    run, ended = records[0].dagster_run, records[0].end_time
    return Attempt(
        run.run_id,
        len(records),
        datetime.fromtimestamp(ended, UTC) if ended else records[0].create_timestamp,
        run.status == dg.DagsterRunStatus.FAILURE and _is_transient(instance, run.run_id),
        run.status == dg.DagsterRunStatus.SUCCESS and run.tags.get(NOT_PUBLISHED_TAG) != "true",
    )


def _is_transient(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a failed run is worth another try: its process died, or each failed step had a transient error."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        data = entry.dagster_event.step_failure_data.user_failure_data if entry.dagster_event else None
        # Runs of earlier versions call it `may_pass`.
        value = data and (data.metadata.get(TRANSIENT) or data.metadata.get("may_pass"))
        if not (value and value.value):
            return False
    return True
