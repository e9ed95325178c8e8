"""Every name that this project uses of Dagster's private modules, with the reason why the public API does not do.

No other module imports from `dagster._…`, and this one imports nothing of the project. Modules that take long to import
are imported inside functions. `taxi_assets_tests/instance/test_dagster_private.py` fails when Dagster moves, renames or
changes one of the names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

# A sensor cannot ask which characters a partition key may not have.
from dagster._core.definitions.partitions.utils.base import INVALID_PARTITION_SUBSTRINGS

# dg.reconstructable takes a function of a module, not a job of a repository.
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository

# DagsterInstance.create_run_for_job raises it for a run id that exists.
from dagster._core.errors import DagsterRunAlreadyExists

# A launched run names its process in this event data.
from dagster._core.events import EngineEventData

# dg.execute_job creates its run itself: without an origin for the daemon, and without a selection of asset checks.
from dagster._core.execution.api import create_execution_plan, execute_run

# The compute log manager redirects the output of steps without the processes that copy it to the terminal.
from dagster._core.execution.compute_logs import redirect_to_file

# dg.DefaultRunLauncher is public; the types in the signatures of its methods are not.
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus

# The daemon finds the code of a queued run by its remote origin. Dagster's clients make it from a loaded workspace.
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.compute_log_manager import CapturedLogContext

# dagster.yaml has no setting that moves these below TAXI_HOME without naming the path: our classes derive from them.
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage

# The storage classes and launchers that dagster.yaml names take it as an argument.
from dagster._serdes import ConfigurableClassData

# Outside a step, Dagster notes an interrupt and goes on. The executor raises it while a step waits. `taxi run` notes
# one from the moment when it creates a run.
from dagster._utils.interrupts import capture_interrupts, raise_interrupts_as

if TYPE_CHECKING:
    from dagster._core.execution.backfill import PartitionBackfill
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.objects import StepFailureData
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig
    from dagster._core.snap import ExecutionPlanSnapshot
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "INVALID_PARTITION_SUBSTRINGS",
    "CapturedLogContext",
    "CheckRunHealthResult",
    "ConfigurableClassData",
    "DagsterRunAlreadyExists",
    "EngineEventData",
    "ExecutionPlan",
    "LaunchRunContext",
    "LocalArtifactStorage",
    "LocalComputeLogManager",
    "PartitionBackfill",
    "PlanOrchestrationContext",
    "ReconstructableJob",
    "ReconstructableRepository",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "RetryMode",
    "SerializableErrorInfo",
    "StepDependencyConfig",
    "StepFailureData",
    "WorkerStatus",
    "add_backfill",
    "as_observation",
    "capture_interrupts",
    "code_server_has_run",
    "configure_logs",
    "create_execution_plan",
    "error_without_stack",
    "execute_run",
    "execution_plan_snapshot",
    "has_ended",
    "raise_interrupts_as",
    "redirect_to_file",
    "requested_backfills",
    "served_workspace",
    "sleep_between_claims",
]


def as_observation(entry: dg.EventLogEntry) -> dg.EventLogEntry:
    """The entry of a materialization as one of an observation, which the events' public constructors do not make."""
    from dagster._core.events import AssetObservationData

    event = entry.get_dagster_event()
    made = event.step_materialization_data.materialization
    seen = dg.AssetObservation(made.asset_key, made.description, made.metadata, made.partition)
    kind = dg.DagsterEventType.ASSET_OBSERVATION.value
    changed = event._replace(event_type_value=kind, event_specific_data=AssetObservationData(seen))
    return entry._replace(dagster_event=changed)


def execution_plan_snapshot(plan: ExecutionPlan, job: dg.JobDefinition) -> ExecutionPlanSnapshot:
    """The form of a plan that `DagsterInstance.create_run` stores; the public API has none that takes asset checks."""
    from dagster._core.snap import snapshot_from_execution_plan

    return snapshot_from_execution_plan(plan, job.get_job_snapshot_id())


def error_without_stack(text: str) -> Exception:
    """An error that Dagster prints without the stack of the code that raises it: one of another process."""
    from dagster._core.errors import DagsterUserCodeProcessError
    from dagster_shared.error import SerializableErrorInfo

    info = SerializableErrorInfo(text, [], None)
    return DagsterUserCodeProcessError(text, user_code_process_error_infos=[info])  # type: ignore[no-untyped-call]


def requested_backfills(instance: dg.DagsterInstance) -> Sequence[PartitionBackfill]:
    """The backfills that the daemon works on; the filter of `DagsterInstance.get_backfills` is private."""
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

    return instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]))


def add_backfill(
    instance: dg.DagsterInstance,
    repository: dg.RepositoryDefinition,
    *,
    assets: Sequence[dg.AssetKey],
    partitions: Sequence[str],
    time: float,
    title: str,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
) -> str:
    """Adds a backfill of assets for the daemon and returns its id; the public way is the GraphQL of a webserver."""
    from dagster._core.execution.backfill import PartitionBackfill
    from dagster._core.utils import make_new_backfill_id

    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=make_new_backfill_id(),
        asset_graph=repository.asset_graph,
        partition_names=partitions,
        asset_selection=assets,
        backfill_timestamp=time,
        tags=tags,
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=title,
        description=None,
        run_config=run_config,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


def has_ended(backfill: PartitionBackfill) -> bool:
    """Whether the daemon is done with a backfill; the statuses are private."""
    from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES

    return backfill.status in BULK_ACTION_TERMINAL_STATUSES


def code_server_has_run(server: Mapping[str, Any], run_id: str, *, timeout: int) -> bool | None:
    """Whether a code server holds the process of a run; None: it does not answer. The gRPC client is private.

    Args:
        server: Its `host`, and its `port` or `socket`.
        run_id: The run.
        timeout: In seconds.
    """
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult

    client = DagsterGrpcClient(port=server.get("port"), socket=server.get("socket"), host=server["host"])
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run_id), timeout=timeout)
    except DagsterUserCodeUnreachableError:
        return None
    return dg.deserialize_value(answer, CanCancelExecutionResult).can_cancel


def sleep_between_claims() -> None:
    """Lets a step that waits for a slot in its pool sleep until it asks again.

    Dagster (1.13) takes the minimum of that time and 0, so that the wait keeps a processor busy.
    """
    from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

    def interval(context: InstanceConcurrencyContext) -> float:
        due = context._pending_timeouts.values()
        return max(0.0, min(due) - time.time()) if due else 0.0

    InstanceConcurrencyContext.interval_to_next_pending_claim_check = interval  # type: ignore[assignment, method-assign]


def configure_logs() -> None:
    """Lets Dagster's loggers print as in `dagster-webserver`; the function of its command line is private."""
    from dagster._utils.log import configure_loggers

    configure_loggers(formatter="colored", log_level="INFO")


@contextmanager
def served_workspace(instance: dg.DagsterInstance, file: Path) -> Iterator[WorkspaceProcessContext]:
    """The code locations of a workspace file, as Dagster's web application takes them.

    `dagster-webserver` makes them of these private classes, and gives the caller no place for a middleware.
    """
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    # The defaults of `dagster-webserver`.
    instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3600, max_overflow=20)
    with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(file)]), version=dg.__version__) as context:
        yield context
