"""A local server in the background: started when it is needed, once, however many processes ask at the same time.

What is known of a running server stands in `{home}/run/{name}.json`, its output in `{home}/log/{name}.log`. A process
is recognised by its number and its start time together, so that another program that got the same number is never
taken for the server, and never stopped.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock

from taxi_assets.errors import TaxiError
from taxi_assets.files import private_folder, write_private

START_SECONDS = 60
STOP_SECONDS = 15


@dataclass(frozen=True)
class Running:
    """A server that was started.

    Attributes:
        pid: Its process.
        started: When that process began, in seconds since 1970, as the operating system says.
        port: Where it listens on loopback.
    """

    pid: int
    started: float
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


@dataclass(frozen=True)
class LocalServer:
    """How to start one kind of server.

    Attributes:
        name: Its name in files and messages.
        command: Makes the command line from the folder of all local state and a free port.
        answers: Whether the server at this address is ready; may raise while it is not.
        environment: What its process gets besides this process's environment.
    """

    name: str
    command: Callable[[Path, int], Sequence[str]]
    answers: Callable[[str], bool]
    environment: Callable[[Path, int], Mapping[str, str]] = lambda home, port: {}

    def _state(self, home: Path) -> Path:
        return private_folder(home / "run") / f"{self.name}.json"

    def lock(self, home: Path) -> FileLock:
        """Held while the server is started or stopped."""
        return FileLock(private_folder(home / "run") / f"{self.name}.lock", timeout=2 * START_SECONDS)

    def running(self, home: Path) -> Running | None:
        """The server, where it runs."""
        with suppress(FileNotFoundError, ValueError, TypeError):
            found = Running(**json.loads(self._state(home).read_text()))
            return found if found.alive() else None
        return None

    def ensure(self, home: Path) -> Running:
        """The running server; starts it where it does not run.

        Raises:
            TaxiError: It did not come up; says where its output stands.
        """
        if found := self.running(home):
            return found
        with self.lock(home):
            return self.running(home) or self._start(home)

    def _start(self, home: Path) -> Running:
        port = free_port(self._last_port(home))
        log = private_folder(home / "log") / f"{self.name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(self.command(home, port)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **self.environment(home, port)},
            )
        server = Running(process.pid, psutil.Process(process.pid).create_time(), port)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with suppress(Exception):
                if self.answers(server.url):
                    write_private(self._state(home), json.dumps(asdict(server)))
                    return server
            time.sleep(0.05)
        process.kill()
        process.wait()
        raise TaxiError(
            f"The local {self.name} did not start.",
            expected=f"an answer at {server.url} within {START_SECONDS} seconds",
            found=f"its process ended with {process.returncode}",
            where=f"its output: {log}",
            next_step="read the last lines of that file, then try again",
        )

    def _last_port(self, home: Path) -> int | None:
        with suppress(FileNotFoundError, ValueError, KeyError):
            return int(json.loads(self._state(home).read_text())["port"])
        return None

    def stop(self, home: Path) -> bool:
        """Ends the server, where it runs. Its data stays."""
        with self.lock(home):
            if not (found := self.running(home)):
                return False
            process = psutil.Process(found.pid)
            for end in (process.terminate, process.kill):
                with suppress(psutil.NoSuchProcess):
                    end()
                until = time.monotonic() + STOP_SECONDS
                # Not process.wait: whoever started it may live and not have asked how it ended.
                while found.alive() and time.monotonic() < until:
                    time.sleep(0.02)
            return True


def port_is_free(port: int) -> bool:
    """Whether a server could listen there on loopback."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def free_port(wanted: int | None = None) -> int:
    """A free port on loopback: the wanted one, if it is free."""
    if wanted and port_is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
