"""Runs whose process died are told from slow ones, with real processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import psutil
import pytest

from taxi_assets.instance.dagster_private import EngineEventData, WorkerStatus
from taxi_assets.instance.launcher import TaxiRunLauncher, fail_dead_runs
from taxi_assets.instance.processes import HOST_TAG, PROCESS_TAG, describe_this_process, find_dead_process

HERE = socket.gethostname()
LAUNCHED = {".dagster/grpc_info": json.dumps({"host": "localhost", "socket": "/nowhere"}), HOST_TAG: HERE}


@dg.job
def empty() -> None:
    pass


@pytest.fixture
def child() -> Iterator[psutil.Popen]:
    with psutil.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def started(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(empty, tags=tags, status=dg.DagsterRunStatus.STARTED)


def launched(instance: dg.DagsterInstance, pid: int, **tags: str) -> dg.DagsterRun:
    run = started(instance, **{**LAUNCHED, **tags})
    instance.report_engine_event("Started process for run.", run, EngineEventData.in_process(pid))
    return run


def test_a_live_process_is_left_alone(instance: dg.DagsterInstance, child: psutil.Popen) -> None:
    own = started(instance, **{PROCESS_TAG: describe_this_process()})
    theirs = started(instance, **{PROCESS_TAG: f"{HERE} {child.pid} {child.create_time()}"})
    under_the_daemon = launched(instance, child.pid)
    for run in (own, theirs, under_the_daemon):
        assert find_dead_process(instance, run) is None
    assert fail_dead_runs(instance) == []


def test_a_killed_process_is_found_before_anyone_waited_for_it(
    instance: dg.DagsterInstance, child: psutil.Popen
) -> None:
    tagged = started(instance, **{PROCESS_TAG: f"{HERE} {child.pid} {child.create_time()}"})
    under_the_daemon = launched(instance, child.pid)
    os.kill(child.pid, 9)
    while child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    for run in (tagged, under_the_daemon):
        assert f"Its process {child.pid} on {HERE} died without a word" in str(find_dead_process(instance, run))
    assert len(fail_dead_runs(instance)) == 2
    for run in (tagged, under_the_daemon):
        failed = instance.get_run_by_id(run.run_id)
        assert failed is not None
        assert failed.status == dg.DagsterRunStatus.FAILURE
    messages = [event.message for event in instance.all_logs(tagged.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)]
    assert "died without a word" in messages[0]
    assert "Every store holds the old month or the new one" in messages[0]


def test_another_program_with_the_same_number_is_not_the_process(
    instance: dg.DagsterInstance, child: psutil.Popen
) -> None:
    run = started(instance, **{PROCESS_TAG: f"{HERE} {child.pid} {child.create_time() - 3600}"})
    assert find_dead_process(instance, run)


def test_a_run_of_another_machine_is_left_alone(instance: dg.DagsterInstance) -> None:
    assert find_dead_process(instance, started(instance, **{PROCESS_TAG: "elsewhere 999999 1.0"})) is None
    assert find_dead_process(instance, launched(instance, 999_999, **{HOST_TAG: "elsewhere"})) is None
    assert find_dead_process(instance, started(instance)) is None
    assert find_dead_process(instance, started(instance, **LAUNCHED)) is None


def test_a_retry_is_not_judged_by_the_process_of_the_run_that_died(
    instance: dg.DagsterInstance, child: psutil.Popen
) -> None:
    inherited = {PROCESS_TAG: f"{HERE} 999999 1.0"}
    assert find_dead_process(instance, launched(instance, child.pid, **inherited)) is None


def test_run_monitoring_hears_of_it(instance: dg.DagsterInstance, child: psutil.Popen) -> None:
    assert isinstance(instance.run_launcher, TaxiRunLauncher)
    assert instance.run_launcher.supports_check_run_worker_health
    assert instance.run_launcher.check_run_worker_health(launched(instance, child.pid)).status == WorkerStatus.RUNNING
    dead = instance.run_launcher.check_run_worker_health(launched(instance, 999_999))
    assert dead.status == WorkerStatus.FAILED
    assert "died without a word" in str(dead)


def test_a_dead_run_gives_its_place_in_a_pool_back(instance: dg.DagsterInstance) -> None:
    run = started(instance, **{PROCESS_TAG: f"{HERE} 999999 1.0"})
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("source")
    assert storage.claim_concurrency_slot("source", run.run_id, "fetch").is_claimed
    assert storage.get_concurrency_info("source").active_slot_count == 1
    fail_dead_runs(instance)
    assert storage.get_concurrency_info("source").active_slot_count == 0


@pytest.mark.parametrize("under_the_daemon", [True, False])
def test_a_run_that_no_code_server_knows_is_interrupted(instance: dg.DagsterInstance, under_the_daemon: bool) -> None:
    launcher = TaxiRunLauncher()
    launcher.register_instance(instance)
    with psutil.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1) as child:
        child.stdout.readline()
        if under_the_daemon:
            run = launched(instance, child.pid)
        else:
            run = started(instance, **{PROCESS_TAG: f"{HERE} {child.pid} {child.create_time()}"})
        assert launcher.terminate(run.run_id)
        assert child.wait(20) != 0
    ended = instance.get_run_by_id(run.run_id)
    assert ended
    assert ended.status == dg.DagsterRunStatus.CANCELING, "the process itself cancels it"


def test_nothing_is_interrupted_for_a_run_whose_process_is_gone_or_elsewhere(
    instance: dg.DagsterInstance, child: psutil.Popen
) -> None:
    launcher = TaxiRunLauncher()
    launcher.register_instance(instance)
    elsewhere = started(instance, **{PROCESS_TAG: f"elsewhere {child.pid} {child.create_time()}"})
    another = started(instance, **{PROCESS_TAG: f"{HERE} {child.pid} {child.create_time() - 3600}"})
    for run in (elsewhere, another, started(instance)):
        assert not launcher.terminate(run.run_id)
    assert child.poll() is None
