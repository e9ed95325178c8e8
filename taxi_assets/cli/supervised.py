"""A process of `taxi dev` that starts again when it ends, and ends with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psutil

from taxi_assets.instance.child import listens
from taxi_assets.settings import PROJECT_ROOT

MAX_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that ran this long starts again after the shortest pause."""
STOP_SECONDS = 20
LOOK_SECONDS = 5.0


@dataclass
class Supervised:
    """A process that starts again when it ends, after a pause that doubles with each failure.

    Attributes:
        name: What people call it.
        command: Its command line.
        output: The file of its output; None: that of this process.
        log: The name of that file, for people.
        needs: The socket that must listen before it starts.
        handed: Open files that it inherits.
        tell: Prints a line for people.
    """

    name: str
    command: list[str]
    output: BinaryIO | None = None
    log: str = ""
    needs: Path | None = None
    handed: Sequence[int] = ()
    tell: Callable[[str], None] = print
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
            why = f" Its last lines: {self.log}" if self.log else ""
            self.tell(f"The {self.name} ended with {code}; it starts again in {self.pause:.0f} s.{why}")
        if not self.process and now >= self.due and (self.needs is None or listens(self.needs)):
            # The process ends when its standard input does. A terminal's Ctrl-C reaches it through `interrupt` alone.
            self.process = subprocess.Popen(
                self.command,
                cwd=PROJECT_ROOT,
                stdin=subprocess.PIPE,
                stdout=self.output,
                stderr=self.output,
                pass_fds=self.handed,
                start_new_session=True,
            )
            if self.began:
                self.tell(f"The {self.name} started again.")
            self.began = now
            self.groups.append(self.process.pid)
        self._send(0)

    def interrupt(self) -> None:
        """Interrupts the process and what it started: its code server and the runs."""
        self._send(signal.SIGINT)

    def stop(self, at_once: Callable[[], bool] = lambda: False) -> None:
        """Waits for the end of the interrupted processes; kills those that do not end, or all of them at once."""
        until = time.monotonic() + STOP_SECONDS
        while self._send(0) and time.monotonic() < until and not at_once():
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


@dataclass
class CodeServer(Supervised):
    """Dagster's code server: a process that reloads the code, and under it the one that has loaded it.

    Dagster's own process goes on without an answer when the one under it dies. Here, both start again.

    Attributes:
        socket: Where it listens.
    """

    socket: Path = Path()
    _served: bool = False
    _look: float = 0.0

    def keep_running(self) -> None:
        """Also ends the process if the one under it is gone; the runs go on."""
        now = time.monotonic()
        if self.process and now >= self._look:
            self._look = now + LOOK_SECONDS
            self._served = self._served or listens(self.socket)
            if self._served and not _has_children(self.process.pid):
                self.process.kill()
                self.process.wait()
        if not self.process:
            self._served = False
        super().keep_running()


def _has_children(pid: int) -> bool:
    try:
        return any(child.status() != psutil.STATUS_ZOMBIE for child in psutil.Process(pid).children())
    except psutil.NoSuchProcess:
        return True
