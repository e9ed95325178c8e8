"""A local server in the background, started on demand: once, even if several processes need it at the same time.

It lives as long as the lock of its data is held (`lock.py`). When it answers, its own process writes its address to
`{home}/run/{name}.json`: whoever started it may be gone by then. Its output is `{home}/log/{name}.log`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from taxi_assets.errors import TaxiError
from taxi_assets.files import private_folder, private_log, write_private
from taxi_assets.local import lock
from taxi_assets.local.access import ALLOWED_HOSTS
from taxi_assets.settings import settings

START_SECONDS = 60
_ORDERS = (signal.SIGTERM, signal.SIGKILL)

_STATE = "TAXI_SERVER_STATE"


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Attributes:
        pid: The number of its process, where that was started.
        port: The port on loopback.
        network: The network whose loopback it is.
    """

    pid: int
    port: int
    network: str = ""

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"


def publish(port: int) -> None:
    """Called by a server when it answers at that port: writes its address for those who need it."""
    if state := os.environ.get(_STATE):
        write_private(Path(state), json.dumps(asdict(Running(os.getpid(), port, lock.network()))))


@dataclass(frozen=True)
class LocalServer:
    """A kind of server, and how to start it.

    Attributes:
        name: Its name in files and messages.
        folder: The folder of its data, below the home.
        command: Returns the command line for the folder of all local state and a port (0: any). The process calls
            `publish` when it answers.
    """

    name: str
    folder: str
    command: Callable[[Path, int], Sequence[str]]

    def _state(self, home: Path) -> Path:
        return home / "run" / f"{self.name}.json"

    def lock_file(self, home: Path) -> Path:
        """The file whose lock says that the server lives."""
        return lock.lock_file(home / self.folder)

    def running(self, home: Path) -> Running | None:
        """The server, where it runs and answers."""
        return self._published(home) if lock.is_held(self.lock_file(home)) else None

    def _published(self, home: Path) -> Running | None:
        with suppress(FileNotFoundError, ValueError, TypeError):
            return Running(**json.loads(self._state(home).read_text()))
        return None

    def ensure(self, home: Path) -> Running:
        """The running server. Starts it where it does not run.

        Raises:
            TaxiError: It did not start; names the file of its output. Or it runs where it cannot be reached from.
            TransientError: Another process holds its data for too long.
        """
        home = home.absolute()
        until = time.monotonic() + START_SECONDS
        while not (server := self.running(home)):
            with lock.taken(self.lock_file(home)) as held:
                process = self._start(home, held) if held is not None else None
            if process:
                self._wait(home, process)
            elif time.monotonic() > until:
                raise lock.busy(self.name, self.lock_file(home), START_SECONDS)
            else:
                time.sleep(lock.PAUSE_SECONDS)
        if server.network != lock.network() and not _listens(server.port):
            raise lock.elsewhere(self.name, self.lock_file(home))
        return server

    def _start(self, home: Path, held: int) -> subprocess.Popen[bytes]:
        last = self._last_port(home)
        self._stop_older(home)
        private_folder(home / "run")
        self._state(home).unlink(missing_ok=True)
        with private_log(self._log(home)) as output:
            return subprocess.Popen(
                list(self.command(home, last if last and port_is_free(last) else 0)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
                pass_fds=[held],
                env={
                    **os.environ,
                    ALLOWED_HOSTS: settings().taxi_allowed_hosts,
                    _STATE: str(self._state(home)),
                },
            )

    def _wait(self, home: Path, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + START_SECONDS
        while not self._published(home):
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                process.wait()
                raise self._not_started(home, process.returncode)
            time.sleep(lock.PAUSE_SECONDS)

    def _not_started(self, home: Path, code: int) -> TaxiError:
        return TaxiError(
            f"The local {self.name} did not start.",
            expected=f"a server that answers within {START_SECONDS} seconds",
            found=f"its process ended with {code}",
            where=f"its output: {self._log(home)}",
            intact="its data",
            next_step="read the last lines of that file, then try again",
        )

    def _log(self, home: Path) -> Path:
        return home / "log" / f"{self.name}.log"

    def _last_port(self, home: Path) -> int | None:
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            return int(json.loads(self._state(home).read_text())["port"])
        return None

    def stop(self, home: Path) -> bool:
        """Stops the server; returns whether it ran. Its data stays.

        Raises:
            TaxiError: It runs where this process cannot stop it.
        """
        from taxi_assets.local.stopping import stop_holders

        home = home.absolute()
        file = self.lock_file(home)
        if not lock.is_held(file):
            return self._stop_older(home)
        until = time.monotonic() + START_SECONDS
        while not (server := self._published(home)) and lock.is_held(file) and time.monotonic() < until:
            time.sleep(lock.PAUSE_SECONDS)  # it is still starting
        if stop_holders(file, _ORDERS, lambda: server.pid if server else None):
            return True
        raise lock.elsewhere(self.name, file)

    def _stop_older(self, home: Path) -> bool:
        """Stops a server of an older version of this project, which holds no lock; returns whether it ran."""
        from taxi_assets.local.stopping import stop_older

        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            state = json.loads(self._state(home).read_text())
            folder = str(home / self.folder)
            if "started" in state:
                return bool(
                    stop_older(state["pid"], lambda process: any(folder in word for word in process.cmdline()), _ORDERS)
                )
        return False


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


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
