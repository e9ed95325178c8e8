"""What the webhook does in Dagster: it queues runs for the daemon, and records materializations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast
from uuid import UUID, uuid5

import dagster as dg

from taxi_assets.instance.dagster_private import DagsterRunAlreadyExists
from taxi_assets.instance.origins import reconstructable_job, remote_origin
from taxi_assets.pipeline import read_pipelines
from taxi_assets.webhook.bodies import ReportMaterialization, StartRun
from taxi_assets.webhook.errors import RequestRefused

_KEYS = UUID("6f0c6f39-3f3e-4a52-9d3c-6c7a1a1c6f55")
"""Under which names of runs are made of idempotency keys."""
_MOST_SHOWN = 12


@dataclass(frozen=True)
class Queued:
    """A run that waits for the daemon, or went on from there.

    Attributes:
        run: The run.
        repeated: Whether an earlier request with the same key made it.
    """

    run: dg.DagsterRun
    repeated: bool


@dataclass(frozen=True)
class RunService:
    """Dagster's records and the project's definitions."""

    instance: dg.DagsterInstance

    @cached_property
    def repository(self) -> dg.RepositoryDefinition:
        """All that the project defines; takes a second or two the first time."""
        from taxi_assets.definitions import defs

        return defs().get_repository_def()

    def start(self, body: StartRun, key: str | None) -> Queued:
        """Queues a run of a pipeline's job for a month; the daemon starts it.

        Args:
            body: What to start.
            key: A caller's name for this very request: repeated with the same key, it starts nothing.

        Raises:
            RequestRefused: The service or the month is none, or the key stands for another request.
        """
        known = read_pipelines()
        if body.service not in known:
            raise RequestRefused(
                404,
                f"There is no service {body.service!r}.",
                expected=f"one of: {', '.join(known)}",
                found=body.service,
            )
        job = self.repository.get_job(known[body.service].job)
        month = _month(body.month, cast(dg.PartitionsDefinition[Any], job.partitions_def))
        config = {"ops": {f"{body.service}__raw_taxi": {"config": {"force": body.force}}}}
        try:
            run = self._create(job, month, config, key, body.caller)
        except DagsterRunAlreadyExists:
            return self._again(_run_id(str(key)), job.name, month, config)
        self._enqueue(run)
        return Queued(run, repeated=False)

    def _create(
        self, job: dg.JobDefinition, month: str, config: dict[str, Any], key: str | None, caller: str | None
    ) -> dg.DagsterRun:
        return self.instance.create_run_for_job(
            job_def=job,
            run_id=_run_id(key) if key else None,
            run_config=config,
            tags={
                **job.get_tags_for_partition_key(month, None),
                "taxi/started_by": _by(caller),
                **({"taxi/idempotency_key": key} if key else {}),
            },
            remote_job_origin=remote_origin(job.name),
            job_code_origin=reconstructable_job(job.name).get_python_origin(),
        )

    def _again(self, run_id: str, job: str, month: str, config: dict[str, Any]) -> Queued:
        (run,) = self.instance.get_runs(dg.RunsFilter(run_ids=[run_id]))
        if (run.job_name, run.tags.get("dagster/partition"), run.run_config) != (job, month, config):
            raise RequestRefused(
                409,
                "This Idempotency-Key stands for another request.",
                expected=f"{run.job_name} for {run.tags.get('dagster/partition')}, as at the first time",
                found=f"{job} for {month}",
                next_step="choose a new key for a new request",
            )
        if run.status == dg.DagsterRunStatus.NOT_STARTED:
            # Whoever created it died before it stood in the queue.
            self._enqueue(run)
        return Queued(run, repeated=True)

    def _enqueue(self, run: dg.DagsterRun) -> None:
        # What the queued run coordinator does in submit_run, which asks for a workspace that it does not use.
        self.instance.report_dagster_event(dg.DagsterEvent.job_enqueue(run), run_id=run.run_id)

    def report(self, body: ReportMaterialization) -> None:
        """Records that an asset was materialized elsewhere; no run stands behind it.

        Raises:
            RequestRefused: The asset or the partition is none.
        """
        graph = self.repository.asset_graph
        asset = dg.AssetKey.from_user_string(body.asset)
        if asset not in graph.materializable_asset_keys:
            known = sorted(key.to_user_string() for key in graph.materializable_asset_keys)
            raise RequestRefused(
                404, f"There is no asset {body.asset!r}.", expected=f"one of: {', '.join(known)}", found=body.asset
            )
        self._check_partition(body, graph.get(asset).partitions_def)
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset, partition=body.partition, metadata={**body.metadata, "reported_by": _by(body.caller)}
            )
        )

    def _check_partition(self, body: ReportMaterialization, partitions: dg.PartitionsDefinition[Any] | None) -> None:
        if partitions is None:
            if body.partition is not None:
                raise RequestRefused(
                    422, f"{body.asset} has no partitions.", expected="no partition", found=body.partition
                )
            return
        with dg.partition_loading_context(dynamic_partitions_store=self.instance):
            names = partitions.get_partition_keys()
        if body.partition not in names:
            raise RequestRefused(
                422,
                f"{body.asset} has no such partition.",
                expected=_range(names),
                found="none" if body.partition is None else body.partition,
            )


def _month(text: str, partitions: dg.PartitionsDefinition[Any]) -> str:
    names = partitions.get_partition_keys()
    if text not in names:
        raise RequestRefused(422, f"There is no month {text!r}.", expected=_range(names), found=text)
    return text


def _range(names: Any) -> str:
    names = list(names)
    if not names:
        return "a partition; there is none yet"
    return f"one of: {', '.join(names)}" if len(names) <= _MOST_SHOWN else f"one of: {names[0]} to {names[-1]}"


def _run_id(key: str) -> str:
    return str(uuid5(_KEYS, key))


def _by(caller: str | None) -> str:
    return f"webhook ({caller})" if caller else "webhook"
