"""A schedule that a person switched off stays off while its file is broken, however long, and after it is mended."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

# Before the scheduler, which it imports.
import dagster._daemon.daemon
import pytest
from dagster._core.remote_representation.external import RemoteSchedule
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._scheduler.scheduler import launch_scheduled_runs

from taxi_assets_tests.project_copy import copy_project

pytestmark = pytest.mark.long

LOCATION, SCHEDULE = "taxi_assets", "yellow_taxi_etl_schedule"
LOG = logging.getLogger(__name__)


def schedules(workspace: WorkspaceProcessContext) -> dict[str, RemoteSchedule]:
    (location,) = workspace.create_request_context().code_locations
    (repository,) = location.get_repositories().values()
    return {schedule.name: schedule for schedule in repository.get_schedules()}


def statuses(instance: dg.DagsterInstance) -> dict[str, str]:
    return {state.instigator_name: state.status.value for state in instance.all_instigator_state()}


def test_a_schedule_keeps_its_state_while_its_file_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defs = copy_project(tmp_path)
    for name in ("TAXI_HOME", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    # No other schedule starts anything.
    green, yellow = defs / "green" / "defs.yaml", defs / "yellow" / "defs.yaml"
    green.write_text(green.read_text().replace("running", "stopped"))
    good = yellow.read_text()
    target = ModuleTarget("taxi_assets.definitions", None, str(tmp_path), LOCATION)
    with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, target) as workspace:

        def tick(hours: float) -> None:
            """What the daemon does at a later time."""
            list(launch_scheduled_runs(workspace, LOG, datetime.now(UTC) + timedelta(hours=hours), {}))

        tick(0)
        for name in (SCHEDULE, "yellow_freshness_schedule"):
            schedule = schedules(workspace)[name]
            instance.stop_schedule(schedule.get_remote_origin_id(), schedule.selector_id, schedule)
        tick(0.1)
        yellow.write_text(good.replace("equals: 0", "equal: 0"))
        workspace.reload_code_location(LOCATION)
        for hours in (1, 13, 40):
            tick(hours)
            assert statuses(instance)[SCHEDULE] == "STOPPED"
        yellow.write_text(good)
        workspace.reload_code_location(LOCATION)
        tick(41)
        mended = schedules(workspace)[SCHEDULE]
        assert mended.cron_schedule == "0 6 15 * *"
        kept = instance.get_instigator_state(mended.get_remote_origin_id(), mended.selector_id)
        assert not mended.get_current_instigator_state(kept).is_running
        assert statuses(instance)["yellow_freshness_schedule"] == "STOPPED"
