"""The embedded PostgreSQL, started on demand: once, even if several processes need it at the same time.

It listens only on a socket, in a folder of this user only. Its state is `{home}/run/postgres.json`. If the process that
started it died before it wrote that file, PostgreSQL's own `postmaster.pid` identifies the server. The next process
that needs a server that died starts it again, and PostgreSQL recovers.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.files import private_folder, write_private
from taxi_assets.local import postgres_files as files
from taxi_assets.local.service import START_SECONDS, STOP_SECONDS, Running

DEFAULT_USER = "taxi"
DEFAULT_DATABASE = "taxi"

# The output of a start while processes of a killed server still end, or during another start.
_TRANSIENT = ("pre-existing shared memory block", 'lock file "postmaster.pid"')


@dataclass(frozen=True)
class EmbeddedPostgres:
    """The running server.

    Attributes:
        process: Its main process.
        folder: The folder of its socket, the host for libpq.
        user: A login role that exists.
        database: A database that exists, owned by that role.
    """

    process: Running
    folder: Path
    user: str
    database: str

    @property
    def port(self) -> int:
        """The port for libpq."""
        return self.process.port

    def reachable(self) -> bool:
        """Whether its process runs and its socket exists."""
        return self.process.alive() and (self.folder / files.SOCKET_NAME).exists()


def running(home: Path) -> EmbeddedPostgres | None:
    """The server; None: it does not run."""
    server = _last(home)
    return server if server and server.reachable() else None


def ensure(home: Path, user: str = DEFAULT_USER, database: str = DEFAULT_DATABASE) -> EmbeddedPostgres:
    """The running server with that login role and that database. Starts and creates what is missing.

    Args:
        home: The folder of all local state.
        user: The login role, which may create roles and is no superuser.
        database: The database, owned by that role.

    Raises:
        TaxiError: It did not start; with the last lines of its log.
    """
    home = home.absolute()
    server = running(home)
    if server and (server.user, server.database) == (user, database):
        return server
    with _locked(home):
        server = running(home) or _adopt(home) or _launch(home)
        _bootstrap(server, user, database)
        server = EmbeddedPostgres(server.process, server.folder, user, database)
        write_private(_state(home), json.dumps(asdict(server), default=str))
        return server


def stop(home: Path) -> bool:
    """Stops the server and its connections; returns whether it ran. Its data stays."""
    home = home.absolute()
    with _locked(home):
        server = _last(home)
        if server is None or not server.process.alive():
            server = _adopt(home)
        if server is None:
            return False
        _shut_down(server)
        if server.folder.parent != home / "run":
            with suppress(OSError):
                server.folder.rmdir()
        return True


def _shut_down(server: EmbeddedPostgres) -> None:
    """Shuts down fast; if that hangs, immediately, and the next start recovers."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(server.process.pid)
        for mode in (signal.SIGINT, signal.SIGQUIT):
            process.send_signal(mode)
            with suppress(psutil.TimeoutExpired):
                process.wait(STOP_SECONDS)
                return
        process.kill()


def _state(home: Path) -> Path:
    return private_folder(home / "run") / "postgres.json"


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Holds the lock for starting and stopping the server."""
    lock = FileLock(private_folder(private_folder(home) / "run") / "postgres.lock", timeout=2 * START_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise TransientError(
            "Another process has been starting or stopping the embedded PostgreSQL for too long.",
            where=str(lock.lock_file),
            next_step="see with `taxi status` what runs, and try again",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _last(home: Path) -> EmbeddedPostgres | None:
    with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
        state: dict[str, Any] = json.loads((home / "run" / "postgres.json").read_text())
        return EmbeddedPostgres(
            Running(**state["process"]), Path(state["folder"]), str(state["user"]), str(state["database"])
        )
    return None


def _adopt(home: Path) -> EmbeddedPostgres | None:
    """The server of the data folder that the state does not name, once it is ready."""
    data = files.data_folder(home)
    with suppress(OSError, ValueError, IndexError, psutil.Error):
        lines = (data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        if process.name() != "postgres" or str(data) not in process.cmdline():
            # Another program has this number now: PostgreSQL might mistake it for a server.
            (data / "postmaster.pid").unlink()
            return None
        server = _server(process, Path(lines[4]))
        if server.reachable() and _ready(server):
            return server
        _shut_down(server)
    return None


def _server(process: psutil.Process, folder: Path) -> EmbeddedPostgres:
    running = Running(process.pid, process.create_time(), files.PORT)
    return EmbeddedPostgres(running, folder, DEFAULT_USER, DEFAULT_DATABASE)


def _launch(home: Path) -> EmbeddedPostgres:
    files.create_data(home)
    last = _last(home)
    folder = files.socket_folder(home, last.folder if last else None)
    configuration = files.write_configuration(home, folder)
    command = [str(files.programs() / "postgres"), "-D", str(files.data_folder(home))]
    command += ["-c", f"config_file={configuration}"]
    until = time.monotonic() + START_SECONDS
    while True:
        start = files.log_file(home).stat().st_size if files.log_file(home).exists() else 0
        process = _spawn(files.as_server(command), files.log_file(home))
        server = _server(psutil.Process(process.pid), folder)
        if _ready(server, process):
            return server
        output = files.log_tail(home, start)
        if not any(text in output for text in _TRANSIENT) or time.monotonic() > until:
            raise _not_started(home, output, process.poll())
        time.sleep(0.1)
        if other := _adopt(home):
            return other


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )


def _not_started(home: Path, output: str, code: int | None) -> TaxiError:
    return TaxiError(
        "The embedded PostgreSQL did not start.",
        expected=f"a server that answers within {START_SECONDS} seconds",
        found=f"{'no answer' if code is None else f'it ended with {code}'}; its last lines:\n            {output}",
        where=f"its log: {files.log_file(home)}",
        intact=f"its data in {files.data_folder(home)}",
        next_step="correct what the log names and try again, or set POSTGRES_HOST to a server of yours",
    )


def _ready(server: EmbeddedPostgres, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Waits until the server answers; returns False if its process ends first, or if it takes too long."""
    import psycopg

    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and (process.poll() is None if process else server.process.alive()):
        with suppress(psycopg.OperationalError), _superuser(server):
            return True
        time.sleep(0.02)
    if process and process.poll() is None:
        _shut_down(server)
        process.wait()
    return False


def _superuser(server: EmbeddedPostgres) -> Any:
    import psycopg

    return psycopg.connect(
        host=str(server.folder),
        port=server.port,
        user=files.SUPERUSER,
        dbname="postgres",
        connect_timeout=5,
        application_name="taxi bootstrap",
        autocommit=True,
    )


def _bootstrap(server: EmbeddedPostgres, user: str, database: str) -> None:
    """Creates the login role and its database, where they are missing."""
    from psycopg import sql

    with _superuser(server) as connection:
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [user]).rowcount:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(user)))
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).rowcount:
            names = sql.Identifier(database), sql.Identifier(user)
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
