"""Several months as a backfill of Dagster, handed to the daemon where one runs: it goes on whatever happens here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.outcome import Outcome
from taxi_assets.cli.screen import messages
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.settings import read_settings, settings
from taxi_assets.trips.months import month_name, parse_month

if TYPE_CHECKING:
    import dagster as dg

_ALIVE_SECONDS = 75
_GONE_SECONDS = 180
_LOOK_SECONDS = 2.0
_NEEDED = {"BACKFILL", "QUEUED_RUN_COORDINATOR"}
_PLACES = ("postgres_schema", "bigquery_dataset", "gcp_project", "gcs_bucket", "storage_emulator_host")


def daemon_runs(instance: dg.DagsterInstance, within_seconds: float = _ALIVE_SECONDS) -> bool:
    """Whether a daemon that takes backfills has given a sign of life lately."""
    now, beats = time.time(), instance.get_daemon_heartbeats()
    return all(name in beats and now - beats[name].timestamp < within_seconds for name in _NEEDED)


def can_run_on_daemon(instance: dg.DagsterInstance) -> bool:
    """Whether a daemon runs, and would load into the same places: it does not know what this shell overrides."""
    files = read_settings({})
    return daemon_runs(instance) and all(getattr(settings(), name) == getattr(files, name) for name in _PLACES)


def run_on_daemon(
    instance: dg.DagsterInstance, pipeline: PipelineSpec, months: Sequence[date], stores: Sequence[str], how: RunOptions
) -> dict[date, Outcome]:
    """Requests the backfill and tells how far it is, until it is over.

    Args:
        instance: Dagster's, with a daemon that works for it.
        pipeline: The pipeline.
        months: The months; one for which a run waits already is left to that run.
        stores: The stores to load.
        how: What the runs are told.

    Raises:
        KeyboardInterrupt: The person does not want to wait; the backfill goes on.
    """
    from taxi_assets.instance.history import months_in_progress

    busy = months_in_progress(instance, pipeline.service)
    elsewhere = Outcome("left", "a run waits or is under way already")
    taken = {month: elsewhere for month in months if month_name(month) in busy}
    wanted = [month for month in months if month not in taken]
    if not wanted:
        return taken
    backfill = _request(instance, pipeline, wanted, stores, how)
    messages().print(f"Backfill {backfill}, {len(wanted)} months: the daemon runs it. Ctrl-C leaves it to itself.")
    try:
        return taken | _watch(instance, backfill, wanted)
    except KeyboardInterrupt:
        messages().print(f"Backfill {backfill} goes on without this command; the UI shows it and can cancel it.")
        raise


def _request(
    instance: dg.DagsterInstance, pipeline: PipelineSpec, months: Sequence[date], stores: Sequence[str], how: RunOptions
) -> str:
    import dagster as dg

    from taxi_assets.definitions import defs
    from taxi_assets.instance.dagster_private import add_backfill
    from taxi_assets.instance.runs import started_by

    names = ["raw_taxi", "clean_taxi", "rejected_taxi", *(pipeline.stores[store] for store in stores)]
    return add_backfill(
        instance,
        defs().get_repository_def(),
        assets=[dg.AssetKey([pipeline.service, name]) for name in names],
        partitions=[month_name(month) for month in months],
        time=time.time(),
        title=f"{pipeline.service} {month_name(months[0])} to {month_name(months[-1])}",
        tags=started_by(),
        run_config=how.config(pipeline.service),
    )


def _watch(instance: dg.DagsterInstance, backfill_id: str, months: Sequence[date]) -> dict[date, Outcome]:
    from taxi_assets.instance.dagster_private import has_ended

    told: dict[date, Outcome] = {}
    while True:
        backfill = instance.get_backfill(backfill_id)
        over = backfill is None or has_ended(backfill)
        now = _outcomes(instance, backfill_id)
        for month, outcome in now.items():
            if outcome.end != "left" and told.get(month) != outcome:
                done = sum(found.end != "left" for found in now.values())
                messages().print(f"[bold]{done} of {len(months)}[/]: {month_name(month)} {outcome.end}")
                told[month] = outcome
        if over or not daemon_runs(instance, _GONE_SECONDS):
            break
        time.sleep(_LOOK_SECONDS)
    if not over:
        messages().print("The daemon gives no sign of life; the backfill goes on as soon as it is back: taxi dev")
    return {month: now.get(month, Outcome("left", "no run has begun")) for month in months}


def _outcomes(instance: dg.DagsterInstance, backfill_id: str) -> dict[date, Outcome]:
    """How the newest run of each month of the backfill stands."""
    import dagster as dg

    from taxi_assets.instance.history import failure_reason

    found: dict[date, Outcome] = {}
    for run in instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill_id})):
        name = run.tags.get("dagster/partition")
        if not name or parse_month(name) in found:
            continue
        if run.is_success:
            outcome = Outcome("loaded")
        elif not run.is_finished or run.tags.get("dagster/will_retry") == "true":
            outcome = Outcome("left", "under way")
        else:
            outcome = Outcome("failed", f"run {run.run_id}: {failure_reason(instance, run)}")
        found[parse_month(name)] = outcome
    return found
