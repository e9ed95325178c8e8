"""Several months as a backfill that Dagster's daemon runs, where one runs; it goes on when this command ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.outcome import Outcome, Status
from taxi_assets.cli.screen import messages
from taxi_assets.environment import Environment
from taxi_assets.errors import TaxiError
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.settings import read_settings, settings
from taxi_assets.trips.months import month_name, parse_month

if TYPE_CHECKING:
    import dagster as dg

_ALIVE_SECONDS = 75
_LOST_SECONDS = 180
_POLL_SECONDS = 2.0
_REQUIRED_DAEMONS = {"BACKFILL", "QUEUED_RUN_COORDINATOR"}


def daemon_runs(instance: dg.DagsterInstance, within_seconds: float = _ALIVE_SECONDS) -> bool:
    """Whether the daemons that a backfill needs had a heartbeat within so many seconds."""
    now, heartbeats = time.time(), instance.get_daemon_heartbeats()
    return all(name in heartbeats and now - heartbeats[name].timestamp < within_seconds for name in _REQUIRED_DAEMONS)


def can_run_on_daemon(instance: dg.DagsterInstance, options: RunOptions) -> bool:
    """Whether a daemon runs and can do what is asked for: it does not have the variables of this shell."""
    if not daemon_runs(instance):
        return False
    # It is the daemon of this database, so it has this database's address.
    shared = settings().model_dump(include={"taxi_home", "postgres_host", "postgres_port", "postgres_dbname"})
    theirs = Environment.of(read_settings({}).model_copy(update=shared))
    try:
        Environment.model_validate(options.environment).require(theirs)
    except TaxiError:
        return False
    return True


def run_on_daemon(
    instance: dg.DagsterInstance,
    pipeline: PipelineSpec,
    months: Sequence[date],
    stores: Sequence[str],
    options: RunOptions,
) -> dict[date, Outcome]:
    """Adds a backfill and prints its progress until it ends.

    Args:
        instance: Dagster's instance, with a running daemon.
        pipeline: The pipeline.
        months: The months; those with a run that has not ended are left out.
        stores: The stores to load.
        options: The options of the runs.

    Raises:
        KeyboardInterrupt: The user does not wait for the end; the backfill goes on.
    """
    from taxi_assets.instance.history import months_in_progress

    busy = months_in_progress(instance, pipeline)
    in_progress = Outcome(Status.LEFT, "a run waits or is under way already")
    left_out = {month: in_progress for month in months if month_name(month) in busy}
    requested = [month for month in months if month not in left_out]
    if not requested:
        return left_out
    backfill = _add_backfill(instance, pipeline, requested, stores, options)
    messages().print(f"Backfill {backfill}, {len(requested)} months: the daemon runs it. Ctrl-C leaves it to itself.")
    try:
        return left_out | _watch(instance, backfill, requested)
    except KeyboardInterrupt:
        messages().print(f"Backfill {backfill} goes on without this command; the UI shows it and can cancel it.")
        raise


def _add_backfill(
    instance: dg.DagsterInstance,
    pipeline: PipelineSpec,
    months: Sequence[date],
    stores: Sequence[str],
    options: RunOptions,
) -> str:
    import dagster as dg

    from taxi_assets.definitions import defs
    from taxi_assets.instance.dagster_private import add_backfill
    from taxi_assets.instance.runs import started_by

    names = ["raw_taxi", "clean_taxi", "rejected_taxi", *(pipeline.stores[store] for store in stores)]
    return add_backfill(
        instance,
        defs().get_repository_def(),
        assets=[dg.AssetKey([pipeline.name, name]) for name in names],
        partitions=[month_name(month) for month in months],
        time=time.time(),
        title=f"{pipeline.name} {month_name(months[0])} to {month_name(months[-1])}",
        tags=started_by(),
        run_config=options.config(pipeline.name),
    )


def _watch(instance: dg.DagsterInstance, backfill_id: str, months: Sequence[date]) -> dict[date, Outcome]:
    from taxi_assets.instance.dagster_private import has_ended

    printed: dict[date, Outcome] = {}
    while True:
        backfill = instance.get_backfill(backfill_id)
        ended = backfill is None or has_ended(backfill)
        outcomes = _read_outcomes(instance, backfill_id)
        for month, outcome in outcomes.items():
            if outcome.status != Status.LEFT and printed.get(month) != outcome:
                done = sum(other.status != Status.LEFT for other in outcomes.values())
                messages().print(f"[bold]{done} of {len(months)}[/]: {month_name(month)} {outcome.status}")
                printed[month] = outcome
        if ended or not daemon_runs(instance, _LOST_SECONDS):
            break
        time.sleep(_POLL_SECONDS)
    if not ended:
        messages().print("The daemon gives no sign of life; the backfill goes on as soon as it is back: taxi dev")
    return {month: outcomes.get(month, Outcome(Status.LEFT, "no run has begun")) for month in months}


def _read_outcomes(instance: dg.DagsterInstance, backfill_id: str) -> dict[date, Outcome]:
    """The state of the newest run of each month of the backfill."""
    import dagster as dg

    from taxi_assets.alerts.runs import EndedRun

    outcomes: dict[date, Outcome] = {}
    for run in instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill_id})):
        name = run.tags.get("dagster/partition")
        if not name or parse_month(name) in outcomes:
            continue
        if run.is_success:
            outcome = Outcome(Status.LOADED)
        elif not run.is_finished or run.tags.get("dagster/will_retry") == "true":
            outcome = Outcome(Status.LEFT, "under way")
        else:
            canceled = run.status == dg.DagsterRunStatus.CANCELED
            reason = "canceled" if canceled else EndedRun.read(instance, run).failure.summary
            outcome = Outcome(Status.FAILED, f"run {run.run_id}: {reason}")
        outcomes[parse_month(name)] = outcome
    return outcomes
