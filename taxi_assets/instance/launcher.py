"""The run launcher that `dagster.yaml` names; it finds runs whose process died, and interrupts those that live.

The daemon's run monitoring calls `check_run_worker_health` for every run in progress and marks dead runs failed, so
that run retries start them again. `taxi run` calls `fail_dead_runs` before it begins.
"""

from __future__ import annotations

import socket
from typing import Any

import dagster as dg

from taxi_assets.instance.dagster_private import (
    CheckRunHealthResult,
    ConfigurableClassData,
    LaunchRunContext,
    WorkerStatus,
)
from taxi_assets.instance.processes import HOST_TAG, find_dead_process, interrupt_process

IN_PROGRESS = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
"""The statuses of runs that the limits of the instance count."""
_INTACT = "Every store holds the old month or the new one, whole. The retry goes on with the step that was cut off."


class TaxiRunLauncher(dg.DefaultRunLauncher):
    """Launches runs as Dagster does by default, and checks whether their processes are alive."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> TaxiRunLauncher:
        """No configuration."""
        return cls(inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Also tags the run with this machine."""
        self._instance.add_run_tags(context.dagster_run.run_id, {HOST_TAG: socket.gethostname()})
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Also ends a run of `taxi run`, and one whose code server was killed: by an interrupt of its process.

        Dagster alone would mark it as canceled after a minute, while it goes on.
        """
        try:
            done = bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        except Exception:  # Dagster has no class of its own for a code server that does not know the run.
            if self._interrupt(run_id):
                return True
            raise
        return done or self._interrupt(run_id)

    def _interrupt(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        return bool(run and not run.is_finished and interrupt_process(self._instance, run))

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Failed if the run's process is known to be dead, else running."""
        if death := find_dead_process(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, f"{death} {_INTACT}")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def fail_dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Marks the runs whose process is known to be dead as failed, frees their slots in the pools, and returns them."""
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        if death := find_dead_process(instance, run):
            instance.report_run_failed(run, f"{death} {_INTACT}")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            dead.append(run)
    return dead
