"""`taxi dev`: starts the local services, then Dagster's UI and daemon, and restarts what ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from taxi_assets.cli.screen import messages
from taxi_assets.cli.services import start_all
from taxi_assets.errors import TaxiError
from taxi_assets.instance.child import socket_folder
from taxi_assets.local.service import port_is_free
from taxi_assets.settings import PROJECT_ROOT, settings
from taxi_assets.ui.server import WORKSPACE, link
from taxi_assets.ui.token import ensure_token

CHECK_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that ran this long starts again after the shortest pause."""
STOP_SECONDS = 20


@dataclass
class Supervised:
    """A process that starts again when it ends, after a pause that doubles with each failure."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    pause: float = 1.0
    due: float = field(default_factory=time.monotonic)
    groups: list[int] = field(default_factory=list)
    """Its process group, and those of its predecessors whose runs go on."""

    def keep_running(self) -> None:
        """Starts the process if it does not run and its pause is over."""
        now = time.monotonic()
        if self.process and (code := self.process.poll()) is not None:
            self.process = None
            self.pause = 1.0 if now - self.began > STEADY_SECONDS else min(2 * self.pause, MAX_PAUSE_SECONDS)
            self.due = now + self.pause
            messages().print(f"The {self.name} ended with {code}; it starts again in {self.pause:.0f} s.")
        if not self.process and now >= self.due:
            # The process ends when its standard input does. A terminal's Ctrl-C reaches it through `interrupt` alone.
            self.process = subprocess.Popen(
                self.command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, start_new_session=True
            )
            self.began = now
            self.groups.append(self.process.pid)
        self._send(0)

    def interrupt(self) -> None:
        """Interrupts the process and what it started: its code server and the runs."""
        self._send(signal.SIGINT)

    def stop(self) -> None:
        """Waits for the end of the interrupted processes; kills those that do not end."""
        until = time.monotonic() + STOP_SECONDS
        while self._send(0) and time.monotonic() < until:
            time.sleep(0.05)
        self._send(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def _send(self, number: int) -> list[int]:
        """Sends a signal to each group of processes that is alive, and forgets the others."""
        if self.process:
            self.process.poll()
        for group in list(self.groups):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                self.groups.remove(group)
        return self.groups


def develop(port: int) -> int:
    """Runs until it is interrupted; returns the exit code.

    Args:
        port: The UI's port on loopback.

    Raises:
        TaxiError: The port is taken, or a local service does not start.
    """
    if not port_is_free(port):
        raise TaxiError(
            f"Port {port} on loopback is taken.",
            expected="a free port for the UI",
            intact="nothing was started",
            next_step=f"end what listens there, or: taxi dev --port {port + 1}",
        )
    start_all()
    if settings().origin("taxi_ui_url") == "default":
        os.environ["TAXI_UI_URL"] = f"http://127.0.0.1:{port}"
    token = ensure_token(settings().taxi_home)
    # A log is read by others.
    address = link(port, token) if messages().is_terminal else f"http://127.0.0.1:{port} (the link: taxi status)"
    messages().print(f"The UI comes up at [bold]{address}[/]", soft_wrap=True)
    messages().print("Ctrl-C ends it. Services stay up: taxi down")
    try:
        with socket_folder(settings().taxi_home) as sockets:
            _supervise(_processes(port, sockets))
    finally:
        _wipe_heartbeats()
    return 0


def _processes(port: int, sockets: Path) -> list[Supervised]:
    """The processes of `taxi dev`; their code servers listen in the folder of sockets."""
    child = [sys.executable, "-m", "taxi_assets.instance.child", str(sockets)]
    scripts = Path(sysconfig.get_path("scripts"))
    processes = [
        Supervised("webserver", [sys.executable, "-m", "taxi_assets.ui.server", str(port), str(sockets)]),
        Supervised("daemon", [*child, str(scripts / "dagster-daemon"), "run", "-w", str(WORKSPACE)]),
    ]
    if settings().taxi_webhook_token:
        processes.append(Supervised("webhook", [*child, str(scripts / "taxi"), "webhook"]))
    return processes


def _wipe_heartbeats() -> None:
    """Removes the daemon's heartbeats: a backfill that starts now must not wait for it."""
    from dagster import DagsterInstance

    with suppress(Exception), DagsterInstance.get() as instance:
        instance.wipe_daemon_heartbeats()


def _supervise(processes: list[Supervised]) -> None:
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        while not interrupted:
            for process in processes:
                process.keep_running()
            time.sleep(CHECK_SECONDS)
    finally:
        for process in processes:
            process.interrupt()
        for process in processes:
            process.stop()
