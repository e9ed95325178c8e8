"""An interrupt ends a run at once, also while a step waits; a run of `taxi run` is canceled then."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

SCRIPT = "taxi_assets_tests.instance.interrupted_process"
LONGEST_SECONDS = 60


@pytest.mark.parametrize(
    ("kind", "whose", "status"),
    [
        ("retry", "own", "CANCELED"),
        pytest.param("pool", "own", "CANCELED", marks=pytest.mark.long),
        ("beside", "own", "CANCELED"),
        ("step", "launched", "FAILURE"),
    ],
)
def test_an_interrupt_ends_the_run_at_once(tmp_path: Path, kind: str, whose: str, status: str) -> None:
    command = [sys.executable, "-m", SCRIPT, kind, str(tmp_path), whose]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "waiting\n"
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=LONGEST_SECONDS)
        finally:
            process.kill()
    assert said == f"{status}\n", errors
    assert time.monotonic() - began < LONGEST_SECONDS / 2


def test_a_step_that_waits_for_its_pool_sleeps(tmp_path: Path) -> None:
    command = [sys.executable, "-m", SCRIPT, "pool", str(tmp_path), "own"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "waiting\n"
            before = sum(psutil.Process(process.pid).cpu_times()[:2])
            time.sleep(3)
            assert sum(psutil.Process(process.pid).cpu_times()[:2]) - before < 0.5
        finally:
            process.kill()
