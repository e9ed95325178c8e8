"""The process of a run: whether it is alive, and its interrupt.

A run of `taxi run` has its process in a tag. A launched run has its process in an event and its machine in a tag. A
process is identified by its number and its start, and only on its own machine; elsewhere it counts as alive, unless the
code server there has no such process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

PROCESS_TAG = "taxi/process"
"""`{host} {pid} {start}` of the process that executes a run of `taxi run`; start in seconds since 1970."""
HOST_TAG = "taxi/launched_on"
"""The machine from which a run was launched."""

_LAUNCHED_TAG = ".dagster/grpc_info"
_LOOPBACK = ("localhost", "127.0.0.1")
# The clock may have been set meanwhile; the system does not use a number again this soon.
_CLOCK_SECONDS = 60.0
_ASK_SECONDS = 5


def describe_this_process() -> str:
    """The value of `PROCESS_TAG` for a run that this process executes."""
    process = psutil.Process()
    return f"{socket.gethostname()} {process.pid} {process.create_time()}"


def is_of_this_command(run: DagsterRun) -> bool:
    """Whether this process executes the run for `taxi run`."""
    return _LAUNCHED_TAG not in run.tags and run.tags.get(PROCESS_TAG) == describe_this_process()


def find_dead_process(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """Describes the dead process of a run; None: the process is alive, or this machine cannot know.

    Args:
        instance: Holds the run's events.
        run: A run that has begun and has not ended, as far as Dagster knows.
    """
    # An automatic retry inherits the tag of the process that died; its own launch counts.
    if _LAUNCHED_TAG in run.tags:
        return _find_dead_launched(instance, run)
    host, _, rest = run.tags.get(PROCESS_TAG, "").partition(" ")
    if host != socket.gethostname():
        return None
    pid, _, start = rest.partition(" ")
    return None if _is_alive(int(pid), begun_at=float(start)) else _describe_death(pid, host)


def interrupt_process(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Interrupts the process of a run, which then ends the run as canceled.

    Args:
        instance: Holds the run's events.
        run: A run that has begun and has not ended, as far as Dagster knows.

    Returns:
        Whether there is such a process on this machine, and this user may interrupt it.
    """
    host, _, rest = run.tags.get(PROCESS_TAG, "").partition(" ")
    pid, _, start = rest.partition(" ")
    alive = False
    if _LAUNCHED_TAG in run.tags:
        host, started = run.tags.get(HOST_TAG, ""), _read_process_event(instance, run.run_id)
        if started and json.loads(run.tags[_LAUNCHED_TAG]).get("host") in _LOOPBACK:
            pid, alive = str(started[0]), _is_alive(started[0], begun_by=started[1])
    elif pid:
        alive = _is_alive(int(pid), begun_at=float(start))
    if not alive or host != socket.gethostname():
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(int(pid), signal.SIGINT)
        return True
    return False


def _find_dead_launched(instance: DagsterInstance, run: DagsterRun) -> str | None:
    server = json.loads(run.tags[_LAUNCHED_TAG])
    if server.get("host") not in _LOOPBACK:
        return _ask_code_server(server, run.run_id)
    host = run.tags.get(HOST_TAG)
    started = _read_process_event(instance, run.run_id)
    if host != socket.gethostname() or started is None:
        return None
    pid, when = started
    return None if _is_alive(pid, begun_by=when) else _describe_death(str(pid), host)


def _read_process_event(instance: DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The number of the run's process, and the time of the event: the process had begun by then."""
    import dagster as dg

    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        if entry.dagster_event and "pid" in entry.dagster_event.engine_event_data.metadata:
            return int(str(entry.dagster_event.engine_event_data.metadata["pid"].value)), entry.timestamp
    return None


def _ask_code_server(server: dict[str, object], run_id: str) -> str | None:
    """Asks the code server of another machine or container for the process of the run."""
    from taxi_assets.instance.dagster_private import code_server_has_run

    if code_server_has_run(server, run_id, timeout=_ASK_SECONDS) is not False:
        return None
    return f"The code server at {server['host']} has no process for it any more."


def _is_alive(pid: int, *, begun_at: float | None = None, begun_by: float | None = None) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        began = process.create_time()
    except psutil.NoSuchProcess:
        return False
    if begun_at is not None:
        return abs(began - begun_at) < _CLOCK_SECONDS
    return begun_by is None or began < begun_by + _CLOCK_SECONDS


def _describe_death(pid: str, host: str) -> str:
    return f"Its process {pid} on {host} died without a word: it was killed, or the machine went down."
