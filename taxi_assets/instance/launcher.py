"""Finds runs whose process died, whoever started them: what `dagster.yaml` names as the run launcher.

Under the daemon, Dagster's run monitoring asks `check_run_worker_health` about every run that is under way, and marks
the dead ones failed, so that run retries take over. `taxi run` does the same with `fail_dead_runs` before it begins.
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
from taxi_assets.instance.processes import HOST_TAG, dead_process

_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_INTACT = "Every store holds the old month or the new one, whole. The retry goes on with the step that was cut off."


class TaxiRunLauncher(dg.DefaultRunLauncher):
    """Launches runs as Dagster does by default, and knows whether their processes live."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> TaxiRunLauncher:
        """No configuration."""
        return cls(inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Writes down from which machine, too."""
        self._instance.add_run_tags(context.dagster_run.run_id, {HOST_TAG: socket.gethostname()})
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Failed where the run's process is known to be dead; a run that cannot be judged from here counts as well."""
        if death := dead_process(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, f"{death} {_INTACT}")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks the runs whose process is known to be dead as failed, and frees their places in the pools.

    Returns:
        What was found, a sentence a run.
    """
    found = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)):
        if death := dead_process(instance, run):
            instance.report_run_failed(run, f"{death} {_INTACT}")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            found.append(f"Run {run.run_id} of {run.job_name} was under way no more. {death}")
    return found
