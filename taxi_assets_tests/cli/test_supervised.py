"""The processes of `taxi dev`: restarted when they end, and ended with all that they started."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from taxi_assets.cli import supervised as supervision
from taxi_assets.cli.supervised import Supervised

# Starts a process of its own, which does not mind an interrupt, and writes both numbers.
PARENT = """
import os, subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
with open(sys.argv[1], "a") as file:
    print(os.getpid(), child.pid, file=file)
time.sleep(60)
"""


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def pids(file: Path) -> list[int]:
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def test_what_a_process_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "STOP_SECONDS", 0.5)
    supervised = Supervised("one", [sys.executable, "-c", PARENT, str(tmp_path / "pids")])
    supervised.keep_running()
    until(lambda: len(pids(tmp_path / "pids")) == 2)
    supervised.interrupt()
    supervised.stop()
    until(lambda: not any(runs(pid) for pid in pids(tmp_path / "pids")))


def test_what_goes_on_after_a_restart_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "STOP_SECONDS", 0.5)
    supervised = Supervised("one", [sys.executable, "-c", PARENT, str(tmp_path / "pids")], pause=0.1)
    supervised.keep_running()
    until(lambda: len(pids(tmp_path / "pids")) == 2)
    first, child = pids(tmp_path / "pids")
    psutil.Process(first).kill()

    def restarted() -> bool:
        supervised.keep_running()
        return len(pids(tmp_path / "pids")) == 4

    until(restarted)
    assert runs(child)
    supervised.interrupt()
    supervised.stop()
    until(lambda: not any(runs(pid) for pid in pids(tmp_path / "pids")))


def test_a_process_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os, sys, time; print(os.getpid(), *sys.argv[1:], flush=True); time.sleep(60)")
    code = (
        "import sys, time; from taxi_assets.cli.supervised import Supervised;"
        "Supervised('one', [sys.executable, '-m', 'taxi_assets.instance.child', *sys.argv[1:]]).keep_running();"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(script), "a", "b"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        pid, *rest = supervisor.stdout.readline().split()
        assert (rest, runs(int(pid))) == (["a", "b"], True)
        supervisor.kill()
    until(lambda: not runs(int(pid)))
