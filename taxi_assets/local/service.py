"""A local server in the background, started on demand: once, even if several processes need it at the same time.

Its state is `{home}/run/{name}.json`, its output `{home}/log/{name}.log`. Number and start time together identify its
process, so that another program with the same number is never mistaken for the server, and never stopped.
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
    """The process of a server.

    Attributes:
        pid: Its number.
        started: When it started, in seconds since 1970, by the operating system.
        port: The port on loopback.
    """

    pid: int
    started: float
    port: int

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    def alive(self) -> bool:
        """Whether this process still runs."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


@dataclass(frozen=True)
class LocalServer:
    """A kind of server, and how to start it.

    Attributes:
        name: Its name in files and messages.
        command: Returns the command line for the folder of all local state and a free port.
        answers: Whether the server at this address is ready; may raise while it is not.
        environment: Returns further environment variables of its process.
    """

    name: str
    command: Callable[[Path, int], Sequence[str]]
    answers: Callable[[str], bool]
    environment: Callable[[Path, int], Mapping[str, str]] = lambda home, port: {}

    def _state(self, home: Path) -> Path:
        return private_folder(home / "run") / f"{self.name}.json"

    def lock(self, home: Path) -> FileLock:
        """The lock for starting and stopping the server."""
        return FileLock(private_folder(home / "run") / f"{self.name}.lock", timeout=2 * START_SECONDS)

    def running(self, home: Path) -> Running | None:
        """The server, where it runs."""
        with suppress(FileNotFoundError, ValueError, TypeError):
            server = Running(**json.loads(self._state(home).read_text()))
            return server if server.alive() else None
        return None

    def ensure(self, home: Path) -> Running:
        """The running server. Starts it where it does not run.

        Raises:
            TaxiError: It did not start; names the file of its output.
        """
        if server := self.running(home):
            return server
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
        """Stops the server; returns whether it ran. Its data stays."""
        with self.lock(home):
            if not (server := self.running(home)):
                return False
            process = psutil.Process(server.pid)
            for send in (process.terminate, process.kill):
                with suppress(psutil.NoSuchProcess):
                    send()
                until = time.monotonic() + STOP_SECONDS
                # Not process.wait: the parent may be alive and may not have waited for it.
                while server.alive() and time.monotonic() < until:
                    time.sleep(0.02)
            return True


def responds(url: str, text: str | None = None) -> bool:
    """Whether a GET of this address succeeds, without a proxy; with `text`, whether that is the body."""
    import requests

    with requests.Session() as session:
        session.trust_env = False
        response = session.get(url, timeout=5)
        return response.ok and text in (None, response.text)


def port_is_free(port: int) -> bool:
    """Whether a server could listen there on loopback."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def free_port(preferred: int | None = None) -> int:
    """A free port on loopback: the preferred one, if it is free."""
    if preferred and port_is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
