"""The embedded PostgreSQL: started when it is needed, once, however many processes ask at the same time.

It listens on a socket alone, in a folder that is the user's alone. What is known of it stands in
`{home}/run/postgres.json`; PostgreSQL's own `postmaster.pid` tells of a server whose starter died before it wrote that.
A server that died in any way is started again by the next one who asks, and recovers by itself.
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

# What a start says while processes of a server that was killed still end, or while another start is under way.
_SOON_OVER = ("pre-existing shared memory block", 'lock file "postmaster.pid"')


@dataclass(frozen=True)
class EmbeddedPostgres:
    """The running server.

    Attributes:
        process: Its main process.
        folder: The folder of its socket: what libpq takes as the host.
        user: A login role that is known to exist.
        database: A database that is known to exist, owned by that role.
    """

    process: Running
    folder: Path
    user: str
    database: str

    @property
    def port(self) -> int:
        """What libpq takes as the port."""
        return self.process.port

    def reachable(self) -> bool:
        """Whether its process runs and its socket is in place."""
        return self.process.alive() and files.socket_file(self.folder).exists()


def running(home: Path) -> EmbeddedPostgres | None:
    """The server, where it runs."""
    found = _last(home)
    return found if found and found.reachable() else None


def ensure(home: Path, user: str = DEFAULT_USER, database: str = DEFAULT_DATABASE) -> EmbeddedPostgres:
    """The running server with that login role and that database; starts and makes what is missing.

    Args:
        home: The folder of all local state.
        user: The login role; may make roles, and is nobody's superuser.
        database: The database; owned by that role.

    Raises:
        TaxiError: It did not come up; with the last lines of its log.
    """
    home = home.absolute()
    found = running(home)
    if found and (found.user, found.database) == (user, database):
        return found
    with _locked(home):
        found = running(home) or _adopt(home) or _launch(home)
        _bootstrap(found, user, database)
        found = EmbeddedPostgres(found.process, found.folder, user, database)
        write_private(_state(home), json.dumps(asdict(found), default=str))
        return found


def stop(home: Path) -> bool:
    """Ends the server, where it runs, and with it the connections to it. Its data stays."""
    home = home.absolute()
    with _locked(home):
        found = _last(home)
        if found is None or not found.process.alive():
            found = _adopt(home)
        if found is None:
            return False
        _end(found)
        if found.folder.parent != home / "run":
            with suppress(OSError):
                found.folder.rmdir()
        return True


def _end(server: EmbeddedPostgres) -> None:
    """Fast shutdown; where that hangs, an immediate one, from which the next start recovers."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(server.process.pid)
        for ending in (signal.SIGINT, signal.SIGQUIT):
            process.send_signal(ending)
            with suppress(psutil.TimeoutExpired):
                process.wait(STOP_SECONDS)
                return
        process.kill()


def _state(home: Path) -> Path:
    return private_folder(home / "run") / "postgres.json"


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Holds the lock under which the server is started and stopped."""
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
        found: dict[str, Any] = json.loads((home / "run" / "postgres.json").read_text())
        return EmbeddedPostgres(
            Running(**found["process"]), Path(found["folder"]), str(found["user"]), str(found["database"])
        )
    return None


def _adopt(home: Path) -> EmbeddedPostgres | None:
    """The server that runs on the data folder though the state does not tell of it, once it is ready."""
    data = files.data_folder(home)
    with suppress(OSError, ValueError, IndexError, psutil.Error):
        lines = (data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        if process.name() != "postgres" or str(data) not in process.cmdline():
            # The number went to another program: PostgreSQL might take it for its own.
            (data / "postmaster.pid").unlink()
            return None
        server = _server(process, Path(lines[4]))
        if files.socket_file(server.folder).exists() and _ready(server):
            return server
        _end(server)
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
        found = files.log_tail(home, start)
        if not any(text in found for text in _SOON_OVER) or time.monotonic() > until:
            raise _not_started(home, found, process.poll())
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


def _not_started(home: Path, found: str, code: int | None) -> TaxiError:
    return TaxiError(
        "The embedded PostgreSQL did not start.",
        expected=f"a server that answers within {START_SECONDS} seconds",
        found=f"{'no answer' if code is None else f'it ended with {code}'}; its last lines:\n            {found}",
        where=f"its log: {files.log_file(home)}",
        intact=f"its data in {files.data_folder(home)}",
        next_step="mend what the log names and try again, or set POSTGRES_HOST to a server of yours",
    )


def _ready(server: EmbeddedPostgres, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Waits until the server answers; False where its process ends first, or where it takes too long."""
    import psycopg

    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and (process.poll() is None if process else server.process.alive()):
        with suppress(psycopg.OperationalError), _superuser(server):
            return True
        time.sleep(0.02)
    if process and process.poll() is None:
        _end(server)
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
    """Makes the login role and its database, where they are missing."""
    from psycopg import sql

    with _superuser(server) as connection:
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [user]).rowcount:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(user)))
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).rowcount:
            names = sql.Identifier(database), sql.Identifier(user)
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
