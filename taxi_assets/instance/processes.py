"""Which process executes a run, and whether it still lives: so that a run whose process died is told from a slow one.

A run of `taxi run` carries its process in a tag. A launched run says in its events which process it got, and in a tag
on which machine. A process is recognised by its number and its start, and only on its own machine; a run that cannot be
judged from here is left alone.
"""

from __future__ import annotations

import json
import socket
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
# The clock may have been set meanwhile; no number comes around again as soon as that.
_CLOCK_SECONDS = 60.0
_ASK_SECONDS = 5


def this_process() -> str:
    """What `PROCESS_TAG` says of this process."""
    me = psutil.Process()
    return f"{socket.gethostname()} {me.pid} {me.create_time()}"


def dead_process(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """Says which process of the run is dead; None: it lives, or it cannot be told from here.

    Args:
        instance: Holds the run's events.
        run: A run that has begun and is not over, as far as Dagster knows.
    """
    # An automatic retry inherits the tag of the process that died: where it was launched itself, that counts.
    if _LAUNCHED_TAG in run.tags:
        return _death_of_launched(instance, run)
    host, _, rest = run.tags.get(PROCESS_TAG, "").partition(" ")
    if host != socket.gethostname():
        return None
    pid, _, start = rest.partition(" ")
    return None if _lives(int(pid), begun_at=float(start)) else _says(pid, host)


def _death_of_launched(instance: DagsterInstance, run: DagsterRun) -> str | None:
    server = json.loads(run.tags[_LAUNCHED_TAG])
    if server.get("host") not in _LOOPBACK:
        return _death_at_server(server, run.run_id)
    host = run.tags.get(HOST_TAG)
    started = _process_event(instance, run.run_id)
    if host != socket.gethostname() or started is None:
        return None
    pid, when = started
    return None if _lives(pid, begun_by=when) else _says(str(pid), host)


def _process_event(instance: DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The number of the run's process and when it said so: it had begun by then."""
    import dagster as dg

    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        if entry.dagster_event and "pid" in entry.dagster_event.engine_event_data.metadata:
            return int(str(entry.dagster_event.engine_event_data.metadata["pid"].value)), entry.timestamp
    return None


def _death_at_server(server: dict[str, object], run_id: str) -> str | None:
    """Asks the code server of another machine or container, which knows the processes of its runs."""
    from taxi_assets.instance.dagster_private import code_server_has_run

    if code_server_has_run(server, run_id, timeout=_ASK_SECONDS) is not False:
        return None
    return f"The code server at {server['host']} has no process for it any more."


def _lives(pid: int, *, begun_at: float | None = None, begun_by: float | None = None) -> bool:
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


def _says(pid: str, host: str) -> str:
    return f"Its process {pid} on {host} died without a word: it was killed, or the machine went down."
