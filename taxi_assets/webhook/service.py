"""The webhook's work in Dagster: it queues runs for the daemon, and records materializations."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, cast
from uuid import UUID, uuid5

import dagster as dg

from taxi_assets.automation.absent import absent_months
from taxi_assets.environment import Environment, with_environment
from taxi_assets.instance.dagster_private import DagsterRunAlreadyExists
from taxi_assets.instance.runs import reconstructable_job, remote_origin
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import FilesVersion, files_version, nearest_name, read_again, read_files, read_pipelines
from taxi_assets.settings import settings
from taxi_assets.sources.source import source_from_settings
from taxi_assets.trips.months import parse_month
from taxi_assets.webhook.schemas import ReportMaterialization, RequestRefused, StartRun

_KEY_NAMESPACE = UUID("6f0c6f39-3f3e-4a52-9d3c-6c7a1a1c6f55")
"""The namespace of the run ids that are made of idempotency keys."""
_MAX_LISTED = 12


@dataclass(frozen=True)
class QueuedRun:
    """A run that was queued for the daemon.

    Attributes:
        run: The run.
        repeated: Whether an earlier request with the same key created it.
    """

    run: dg.DagsterRun
    repeated: bool


@dataclass
class CurrentDefinitions:
    """The project's definitions, loaded again after a change of a YAML file."""

    _version: FilesVersion = field(default_factory=dict)
    _repository: dg.RepositoryDefinition | None = None
    _lock: Lock = field(default_factory=Lock)

    def repository(self) -> dg.RepositoryDefinition:
        """The definitions of the files as they are now; the first access takes a second or two."""
        with self._lock:
            version = files_version()
            if self._repository is None or self._version != version:
                read_again()
                import taxi_assets.definitions as module

                loaded = module if self._repository is None else importlib.reload(module)
                repository: dg.RepositoryDefinition = loaded.defs().get_repository_def()
                repository.load_all_definitions()
                self._repository, self._version = repository, version
            return self._repository


@dataclass(frozen=True)
class RunService:
    """Starts runs and records materializations.

    Attributes:
        instance: Dagster's instance.
        definitions: The project's.
    """

    instance: dg.DagsterInstance
    definitions: CurrentDefinitions = field(default_factory=CurrentDefinitions)

    def start(self, body: StartRun, key: str | None) -> QueuedRun:
        """Queues a run of a pipeline's job for a month; the daemon launches it.

        Args:
            body: The request.
            key: The caller's key of this request; a request with a known key starts nothing.

        Raises:
            RequestRefused: There is no such pipeline or month, its file is broken, the month is not published, or the
                key belongs to another request.
        """
        repository = self.definitions.repository()
        pipeline = _pipeline(body.pipeline)
        job = repository.get_job(pipeline.job)
        month = _month(body.month, cast(dg.PartitionsDefinition[Any], job.partitions_def))
        ops = {"ops": {f"{body.pipeline}__raw_taxi": {"config": {"force": body.force}}}}
        config = with_environment(ops, Environment.here())
        if not (key and self.instance.has_run(_run_id(key))):
            _require_published(pipeline.service, month)
        try:
            run = self._create(job, month, config, key, body.caller)
        except DagsterRunAlreadyExists:
            return self._find_repeated(_run_id(str(key)), job.name, month, config)
        self._enqueue(run)
        return QueuedRun(run, repeated=False)

    def _create(
        self, job: dg.JobDefinition, month: str, config: dict[str, Any], key: str | None, caller: str | None
    ) -> dg.DagsterRun:
        return self.instance.create_run_for_job(
            job_def=job,
            run_id=_run_id(key) if key else None,
            run_config=config,
            tags={
                **job.get_tags_for_partition_key(month, None),
                "taxi/started_by": _started_by(caller),
                **({"taxi/idempotency_key": key} if key else {}),
            },
            remote_job_origin=remote_origin(job.name),
            job_code_origin=reconstructable_job(job.name).get_python_origin(),
        )

    def _find_repeated(self, run_id: str, job: str, month: str, config: dict[str, Any]) -> QueuedRun:
        (run,) = self.instance.get_runs(dg.RunsFilter(run_ids=[run_id]))
        asked = run.run_config.get("ops"), run.job_name, run.tags.get("dagster/partition")
        if asked != (config["ops"], job, month):
            raise RequestRefused(
                409,
                "This Idempotency-Key stands for another request.",
                expected=f"{run.job_name} for {run.tags.get('dagster/partition')}, as at the first time",
                found=f"{job} for {month}",
                next_step="choose a new key for a new request",
            )
        if run.status == dg.DagsterRunStatus.NOT_STARTED:
            # The process that created the run died before it queued it.
            self._enqueue(run)
        return QueuedRun(run, repeated=True)

    def _enqueue(self, run: dg.DagsterRun) -> None:
        # As QueuedRunCoordinator.submit_run does, which requires a workspace and does not use it.
        self.instance.report_dagster_event(dg.DagsterEvent.job_enqueue(run), run_id=run.run_id)

    def report(self, body: ReportMaterialization) -> None:
        """Records a materialization from elsewhere, without a run.

        Raises:
            RequestRefused: There is no such asset or partition, or the file of its pipeline is broken.
        """
        graph = self.definitions.repository().asset_graph
        asset = dg.AssetKey.from_user_string(body.asset)
        if asset not in graph.materializable_asset_keys:
            _refuse_broken(asset.path[0])
            known = sorted(key.to_user_string() for key in graph.materializable_asset_keys)
            raise RequestRefused(
                404, f"There is no asset {body.asset!r}.", expected=f"one of: {', '.join(known)}", found=body.asset
            )
        self._check_partition(body, graph.get(asset).partitions_def)
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset, partition=body.partition, metadata={**body.metadata, "reported_by": _started_by(body.caller)}
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


def _pipeline(name: str) -> PipelineSpec:
    known = read_pipelines()
    if name in known:
        return known[name]
    _refuse_broken(name)
    nearest = nearest_name(name, known)
    raise RequestRefused(
        404,
        f"There is no pipeline {name!r}.{f' Do you mean {nearest!r}?' if nearest else ''}",
        expected=f"one of: {', '.join(known)}",
        found=name,
    )


def _refuse_broken(name: str) -> None:
    if error := read_files().broken.get(name):
        raise RequestRefused(
            503,
            error.summary,
            expected=error.details.get("Expected"),
            found=error.details.get("Found"),
            where=error.details.get("Where"),
            next_step=error.details.get("Next"),
        )


def _require_published(service: str, month: str) -> None:
    for absent in absent_months(source_from_settings(settings()), service, [parse_month(month)]).values():
        raise RequestRefused(404, absent.summary, expected=absent.details["Expected"], found=absent.details["Found"])


def _month(text: str, partitions: dg.PartitionsDefinition[Any]) -> str:
    names = partitions.get_partition_keys()
    if text not in names:
        raise RequestRefused(422, f"There is no month {text!r}.", expected=_range(names), found=text)
    return text


def _range(names: Any) -> str:
    names = list(names)
    if not names:
        return "a partition; there is none yet"
    return f"one of: {', '.join(names)}" if len(names) <= _MAX_LISTED else f"one of: {names[0]} to {names[-1]}"


def _run_id(key: str) -> str:
    return str(uuid5(_KEY_NAMESPACE, key))


def _started_by(caller: str | None) -> str:
    return f"webhook ({caller})" if caller else "webhook"
