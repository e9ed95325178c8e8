"""Executes a month of a pipeline in this process, as a run that the UI shows like any other."""

from __future__ import annotations

import getpass
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.instance.processes import PROCESS_TAG, describe_this_process
from taxi_assets.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from types import FrameType

    import dagster as dg

    from taxi_assets.instance.dagster_private import ReconstructableJob, RemoteJobOrigin


_CANCELED = "The run is canceled."
_interrupted = threading.Event()
"""Set from an interrupt on, until the next run."""


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        run_id: The run.
        error: The error that stopped it; None: it succeeded.
        warnings: The descriptions of the checks that failed without stopping it.
        canceled: Whether a person interrupted it.
    """

    run_id: str
    error: str | None
    warnings: list[str]
    canceled: bool = False


@contextmanager
def _note_interrupts() -> Iterator[None]:
    """Notes an interrupt, and raises it as usual: a library that is imported meanwhile may swallow what is raised."""
    _interrupted.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    interrupt = before[signal.SIGINT]

    def note(number: int, frame: FrameType | None) -> None:
        _interrupted.set()
        if callable(interrupt):
            interrupt(number, frame)
        else:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A terminal that is closed interrupts the run. `nohup` ignores that.
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@_note_interrupts()
def run_job(
    job_name: str,
    month: str,
    pipeline: str,
    assets: Collection[str],
    config: dict[str, Any],
    tags: Mapping[str, str],
    notify: Callable[[str], None],
) -> RunResult:
    """Materializes the assets of a pipeline for one month, by its job.

    Waits before it begins if as many runs are in progress as the instance allows.

    Args:
        job_name: The job of the pipeline.
        month: The partition.
        pipeline: The name of the pipeline.
        assets: The last parts of the assets' keys.
        config: The run's configuration.
        tags: Further tags of the run.
        notify: Called with a sentence if the run must wait.

    Raises:
        KeyboardInterrupt: The run was interrupted before it was created.
        TaxiError: A pipeline's YAML is wrong, or the database with Dagster's records is lost.
    """
    import dagster as dg

    from taxi_assets.instance.dagster_private import capture_interrupts
    from taxi_assets.instance.limits import slot

    job = reconstructable_job(job_name)
    with _explain_definition_errors():
        definition = job.get_definition()
    keys = frozenset(dg.AssetKey([pipeline, name]) for name in assets)
    with _explain_database_errors(), dg.DagsterInstance.get() as instance:
        # With a pool of connections; otherwise Dagster opens one for each of its 150 queries.
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=20)
        with ExitStack() as stack:
            with slot(instance, notify):
                # From here on, an interrupt cancels the run.
                stack.enter_context(capture_interrupts())
                if _interrupted.is_set():
                    raise KeyboardInterrupt
                run = _create_run(
                    instance,
                    definition,
                    keys,
                    run_config={**config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                    tags={
                        **definition.get_tags_for_partition_key(month, keys),
                        **started_by(),
                        PROCESS_TAG: describe_this_process(),
                        **tags,
                    },
                    origins=(job.get_python_origin(), remote_origin(job_name)),
                )
            return _execute(instance, job, run)


def _execute(instance: dg.DagsterInstance, job: ReconstructableJob, run: dg.DagsterRun) -> RunResult:
    """Executes the run; one that is interrupted ends as canceled, also if it is interrupted again while it ends."""
    import dagster as dg

    from taxi_assets.instance.dagster_private import execute_run

    try:
        result = execute_run(job, run, instance)
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        result = None
    ended = instance.get_run_by_id(run.run_id)
    if result and ended and ended.status != dg.DagsterRunStatus.CANCELED:
        error = _absence(result) if result.success else _first_error(result)
        return RunResult(run.run_id, error, _warnings(result))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if ended and not ended.is_finished:
        instance.report_run_canceled(run, "A person interrupted `taxi run`.")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return RunResult(run.run_id, _CANCELED, [], canceled=True)


def _create_run(
    instance: dg.DagsterInstance,
    definition: dg.JobDefinition,
    assets: frozenset[dg.AssetKey],
    *,
    run_config: dict[str, Any],
    tags: dict[str, str],
    origins: tuple[Any, Any],
) -> dg.DagsterRun:
    """Creates a run of these assets and of those of their checks that are in the job.

    `DagsterInstance.create_run_for_job` takes no selection of checks.
    """
    import dagster as dg

    from taxi_assets.instance.dagster_private import create_execution_plan, execution_plan_snapshot

    checks = {check for check in definition.asset_layer.asset_graph.asset_check_keys if check.asset_key in assets}
    chosen = definition.get_subset(asset_selection=assets, asset_check_selection=checks)
    plan = create_execution_plan(chosen, run_config=run_config, tags=tags, instance_ref=instance.get_ref())
    return instance.create_run(
        job_name=chosen.name,
        run_id=None,
        run_config=run_config,
        status=dg.DagsterRunStatus.STARTING,
        tags=tags,
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=plan.step_keys_to_execute,
        execution_plan_snapshot=execution_plan_snapshot(plan, chosen),
        job_snapshot=chosen.get_job_snapshot(),
        parent_job_snapshot=chosen.get_parent_job_snapshot(),
        asset_selection=assets,
        asset_check_selection=frozenset(checks),
        resolved_op_selection=None,
        op_selection=None,
        job_code_origin=origins[0],
        remote_job_origin=origins[1],
        asset_graph=chosen.asset_layer.asset_graph,
    )


@contextmanager
def _explain_definition_errors() -> Iterator[None]:
    try:
        yield
    except TaxiError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ and not isinstance(cause, TaxiError):
            cause = cause.__cause__
        if isinstance(cause, TaxiError):
            raise cause from error
        raise TaxiError(
            "The pipelines cannot be loaded.",
            found=str(cause),
            where="taxi_assets/defs",
            intact="nothing was started",
            next_step="correct the YAML file that is named",
        ) from error


@contextmanager
def _explain_database_errors() -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise TransientError(
            "The database was lost during the run.",
            expected="PostgreSQL, which keeps Dagster's records too",
            found=" ".join(str(error.orig).split()),
            intact="every month that was loaded before: a load that did not end was rolled back",
            next_step="`taxi doctor` tests the connection; then run it again",
        ) from error


def started_by() -> dict[str, str]:
    """The tag with the person who started the run."""
    return {"taxi/started_by": f"taxi run by {getpass.getuser()}"}


def _first_error(result: Any) -> str:
    for event in result.filter_events(lambda event: event.is_step_failure):
        error = event.step_failure_data.error
        while error.cause:
            error = error.cause
        if error.cls_name == "DagsterAssetCheckFailedError":
            return str(_failed_checks_error(error.message))
        data = event.step_failure_data.user_failure_data
        return str(data.description if data and data.description else error.message).strip()
    for event in result.filter_events(lambda event: event.is_job_failure):
        if error := event.job_failure_data.error:
            return str(error.message).strip()
    return "The run failed, and Dagster says no reason."


def _absence(result: Any) -> str | None:
    """Why a run that ended well loaded nothing: its file was gone by the time that it was fetched."""
    for event in result.filter_events(lambda event: event.event_type_value == "ASSET_OBSERVATION"):
        seen = event.asset_observation_data.asset_observation
        if "not_published" in seen.metadata:
            return str(seen.description)
    return None


def _failed_checks_error(message: str) -> TaxiError:
    return TaxiError(
        "A check that must be passed was not, so nothing was loaded.",
        found=", ".join(line.strip() for line in message.strip().splitlines()[1:]),
        intact="every store",
        next_step="see above what the check found; mend the file, or the rules in the pipeline's YAML",
    )


def _warnings(result: Any) -> list[str]:
    evaluations = (
        event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    )
    return [
        f"{check.asset_key.to_user_string()}, check {check.check_name}: {check.description}"
        for check in evaluations
        if not check.passed
    ]


LOCATION = "taxi_assets"
"""The name of the code location: in workspace.yaml, deploy/workspace.yaml and pyproject.toml."""


def reconstructable_job(name: str) -> ReconstructableJob:
    """The job as any process of this environment loads it."""
    from taxi_assets.instance.dagster_private import ReconstructableRepository

    repository = ReconstructableRepository.for_module("taxi_assets.definitions", "defs", str(PROJECT_ROOT))
    return repository.get_reconstructable_job(name)


def remote_origin(job_name: str) -> RemoteJobOrigin:
    """The job as webserver and daemon find it, wherever they load it from: by the name of the location."""
    from taxi_assets.instance.dagster_private import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

    return RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), "__repository__").get_job_origin(job_name)
