"""`taxi run --detach`: months as a backfill that Dagster's daemon runs; it goes on when this command has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.cli.options import RunOptions
from taxi_assets.environment import Environment
from taxi_assets.errors import TaxiError, UsageError
from taxi_assets.pipeline import LOADED_FIRST, PipelineSpec
from taxi_assets.settings import read_settings, settings
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    import dagster as dg

_ALIVE_SECONDS = 75
_REQUIRED_DAEMONS = {"BACKFILL", "QUEUED_RUN_COORDINATOR"}


def daemon_runs(instance: dg.DagsterInstance, within_seconds: float = _ALIVE_SECONDS) -> bool:
    """Whether the daemons that a backfill needs had a heartbeat within so many seconds."""
    now, heartbeats = time.time(), instance.get_daemon_heartbeats()
    return all(name in heartbeats and now - heartbeats[name].timestamp < within_seconds for name in _REQUIRED_DAEMONS)


def submit_backfill(
    pipeline: PipelineSpec, months: Sequence[date], stores: Sequence[str], options: RunOptions
) -> tuple[str | None, list[date]]:
    """Adds a backfill of the months that have no run in progress.

    Args:
        pipeline: The pipeline.
        months: The months.
        stores: The stores to load.
        options: The options of the runs.

    Returns:
        The backfill's id, None if every month is in progress already, and the months that are.

    Raises:
        TaxiError: No daemon runs, or it cannot do what is asked for.
    """
    import dagster as dg

    from taxi_assets.instance.history import months_in_progress

    with dg.DagsterInstance.get() as instance:
        if not daemon_runs(instance):
            raise UsageError(
                "No daemon runs that could take the months over.",
                expected="the daemon of `taxi dev` or of a deployment",
                next_step="start it (taxi dev), or leave out --detach",
            )
        _require_environment(options)
        busy = months_in_progress(instance, pipeline)
        requested = [month for month in months if month_name(month) not in busy]
        in_progress = [month for month in months if month_name(month) in busy]
        return _add_backfill(instance, pipeline, requested, stores, options) if requested else None, in_progress


def _require_environment(options: RunOptions) -> None:
    """Requires that the daemon reads and writes the same: it does not have the variables of this shell."""
    # It is the daemon of this database, so it has this database's address.
    shared = settings().model_dump(include={"taxi_home", "postgres_host", "postgres_port", "postgres_dbname"})
    theirs = Environment.of(read_settings({}).model_copy(update=shared))
    try:
        Environment.model_validate(options.environment).require(theirs)
    except TaxiError as error:
        raise UsageError(
            "The daemon cannot do what is asked for: it does not have the settings of this shell.",
            expected=error.details.get("Expected"),
            found=error.details.get("Found"),
            next_step="write the settings to .env.local and start the daemon again, or leave out --detach",
        ) from None


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

    names = [*LOADED_FIRST, *(pipeline.stores[store] for store in stores)]
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
