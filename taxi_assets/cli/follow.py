"""`taxi run --follow`: shows a run or a backfill until it ends, whoever started it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taxi_assets.cli.detach import daemon_runs
from taxi_assets.cli.interrupts import INTERRUPTED
from taxi_assets.cli.outcome import Outcome, Status
from taxi_assets.cli.screen import escaped, messages
from taxi_assets.errors import UsageError

if TYPE_CHECKING:
    import dagster as dg

_POLL_SECONDS = 1.0
_LOST_SECONDS = 180
_RECENT_RUNS = 1000
_PARTITION_TAG = "dagster/partition"


def follow(name: str) -> int:
    """Prints what happens until the run or the backfill ends.

    Returns 0 if all of it succeeded, 130 if a person does not wait for the end, which changes nothing; else 1.

    Args:
        name: The id of a backfill, or of a run, or the beginning of a run's id.

    Raises:
        UsageError: There is neither.
    """
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        backfill = instance.get_backfill(name)
        run_id = None if backfill else _find_run(instance, name)
        try:
            return _Backfill(instance, name).follow() if backfill else _Run(instance, str(run_id)).follow()
        except KeyboardInterrupt:
            what = f"{'backfill' if backfill else 'run'} {name} goes on; the UI shows it and can cancel it."
            messages().print(f"Interrupted: {what}", soft_wrap=True)
            return INTERRUPTED


def _find_run(instance: dg.DagsterInstance, name: str) -> str:
    if instance.get_run_by_id(name):
        return name
    found = [run.run_id for run in instance.get_runs(limit=_RECENT_RUNS) if run.run_id.startswith(name)] if name else []
    if len(found) == 1:
        return found[0]
    raise UsageError(
        f"There is no run and no backfill {name!r}." if not found else f"Several runs begin with {name!r}.",
        expected="the id that `taxi run --detach` or the UI shows",
        found=", ".join(found) or None,
        next_step="`taxi dev` shows the runs and the backfills",
    )


@dataclass
class _Run:
    """A run that is followed: a line for each step that ended."""

    instance: dg.DagsterInstance
    run_id: str
    _cursor: str | None = None

    def follow(self) -> int:
        while True:
            run = self.instance.get_run_by_id(self.run_id)
            self._print_steps()
            if run is None or run.is_finished:
                break
            time.sleep(_POLL_SECONDS)
        outcome = outcome_of(self.instance, run) if run else Outcome(Status.FAILED, "the run was deleted")
        month = run.tags.get(_PARTITION_TAG, "") if run else ""
        reason = f": {escaped(outcome.reason)}" if outcome.reason else ""
        messages().print(f"Run {self.run_id} {month} {outcome.status}{reason}", soft_wrap=True)
        return 0 if outcome.status == Status.LOADED else 1

    def _print_steps(self) -> None:
        import dagster as dg

        ended = {dg.DagsterEventType.STEP_SUCCESS: "done", dg.DagsterEventType.STEP_FAILURE: "failed"}
        ended[dg.DagsterEventType.STEP_UP_FOR_RETRY] = "is tried again"
        page = self.instance.get_records_for_run(self.run_id, cursor=self._cursor, of_type=set(ended))
        for record in page.records:
            event = record.event_log_entry.get_dagster_event()
            seconds = ""
            if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
                seconds = f" in {event.step_success_data.duration_ms / 1000:.1f} s"
            step = str(event.step_key).replace("__", "/")
            messages().print(f"{step}: {ended[event.event_type]}{seconds}", soft_wrap=True)
        self._cursor = page.cursor


@dataclass
class _Backfill:
    """A backfill that is followed: a line for each month that ended."""

    instance: dg.DagsterInstance
    name: str
    _printed: dict[str, Outcome] = field(default_factory=dict)

    def follow(self) -> int:
        from taxi_assets.instance.dagster_private import has_ended
        from taxi_assets.instance.history import backfill_months

        while True:
            backfill = self.instance.get_backfill(self.name)
            outcomes = self._read()
            months = max(len(outcomes), len(backfill_months(backfill)) if backfill else 0)
            self._print(outcomes, months)
            # The daemon notes the end of a backfill up to a minute after that of its last run.
            ended = backfill is None or has_ended(backfill) or len(self._printed) == months > 0
            if ended or not daemon_runs(self.instance, _LOST_SECONDS):
                break
            time.sleep(_POLL_SECONDS)
        if not ended:
            messages().print("The daemon gives no sign of life; the backfill goes on as soon as it is back: taxi dev")
        return 0 if ended and all(outcome.status == Status.LOADED for outcome in outcomes.values()) else 1

    def _read(self) -> dict[str, Outcome]:
        """Month → the outcome of its newest run."""
        import dagster as dg

        from taxi_assets.instance.history import BACKFILL_TAG

        outcomes: dict[str, Outcome] = {}
        for run in self.instance.get_runs(dg.RunsFilter(tags={BACKFILL_TAG: self.name})):
            month = run.tags.get(_PARTITION_TAG, run.job_name)
            if month not in outcomes:
                outcomes[month] = outcome_of(self.instance, run)
        return dict(sorted(outcomes.items()))

    def _print(self, outcomes: dict[str, Outcome], months: int) -> None:
        for month, outcome in outcomes.items():
            if outcome.status != Status.LEFT and month not in self._printed:
                self._printed[month] = outcome
                reason = f": {escaped(outcome.reason)}" if outcome.reason else ""
                messages().print(
                    f"[bold]{len(self._printed)} of {months}[/]: {month} {outcome.status}{reason}", soft_wrap=True
                )


def outcome_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Outcome:
    """The outcome of a run; `left` while it goes on or will be retried."""
    import dagster as dg

    from taxi_assets.alerts.runs import EndedRun
    from taxi_assets.instance.history import NOT_PUBLISHED_TAG

    if run.is_success:
        absent = run.tags.get(NOT_PUBLISHED_TAG) == "true"
        return Outcome(Status.NOT_PUBLISHED if absent else Status.LOADED)
    if not run.is_finished or run.tags.get("dagster/will_retry") == "true":
        return Outcome(Status.LEFT, "in progress")
    if run.status == dg.DagsterRunStatus.CANCELED:
        return Outcome(Status.CANCELED)
    return Outcome(Status.FAILED, EndedRun.read(instance, run).failure.summary)
