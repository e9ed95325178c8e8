"""The embedded PostgreSQL, started on demand: once, even if several processes need it at the same time.

It listens only on a socket, in a folder of this user only. All its processes hold the lock of its data (`lock.py`), so
that no second server starts on them, in whichever container. Its state is `{home}/run/postgres.json`, written before
it starts. The next process that needs a server that died starts it again, and PostgreSQL recovers.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxi_assets.errors import TaxiError
from taxi_assets.files import private_folder, private_log, write_private
from taxi_assets.local import lock
from taxi_assets.local import postgres_files as files
from taxi_assets.local.postgres_users import make, superuser
from taxi_assets.local.service import START_SECONDS

DEFAULT_USER = "taxi"
DEFAULT_DATABASE = "taxi"
_ORDERS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

# The output of a start while processes of a killed server still end, or during another start.
_TRANSIENT = ("pre-existing shared memory block", 'lock file "postmaster.pid"')


@dataclass(frozen=True)
class EmbeddedPostgres:
    """The running server.

    Attributes:
        pid: The number of its main process, where that was started.
        folder: The folder of its socket, the host for libpq.
        user: A login role that exists.
        database: A database that exists.
    """

    pid: int
    folder: Path
    user: str = DEFAULT_USER
    database: str = DEFAULT_DATABASE

    @property
    def port(self) -> int:
        """The port for libpq."""
        return files.PORT


def running(home: Path) -> EmbeddedPostgres | None:
    """The server; None: it does not run."""
    home = home.absolute()
    if not lock.is_held(lock_file(home)):
        return None
    state = _state(home)
    server = _main_process(home)
    if not state or not server or not _listens(Path(state["folder"])):
        return None
    last = state["made"][-1] if state["made"] else (DEFAULT_USER, DEFAULT_DATABASE)
    return EmbeddedPostgres(server, Path(state["folder"]), *last)


def lock_file(home: Path) -> Path:
    """The file whose lock says that the server lives."""
    return lock.lock_file(home / "postgres")


def ensure(home: Path, user: str = DEFAULT_USER, database: str = DEFAULT_DATABASE) -> EmbeddedPostgres:
    """The running server with that login role and that database. Starts and creates what is missing.

    Args:
        home: The folder of all local state.
        user: The login role, which may create roles and is no superuser.
        database: The database, which that role may use like its owner.

    Raises:
        TaxiError: It did not start; with the last lines of its log.
        TransientError: Another process holds its data for too long.
    """
    home = home.absolute()
    until = time.monotonic() + START_SECONDS
    while True:
        server = running(home)
        if server and [user, database] in (_state(home) or {"made": []})["made"]:
            return EmbeddedPostgres(server.pid, server.folder, user, database)
        if server and _answers(server):
            _make(home, server, user, database)
            continue
        with lock.taken(lock_file(home)) as held:
            if held is not None:
                _launch(home, held)
        if held is None:
            if time.monotonic() > until:
                raise lock.busy("PostgreSQL", lock_file(home), START_SECONDS)
            time.sleep(lock.PAUSE_SECONDS)


def _make(home: Path, server: EmbeddedPostgres, user: str, database: str) -> None:
    """Makes role and database, and notes in the state that they are there."""
    make(server.folder, user, database)
    state = _state(home)
    if state and state["folder"] == str(server.folder):
        made = [entry for entry in state["made"] if entry != [user, database]]
        write_private(_state_file(home), json.dumps({**state, "made": [*made, [user, database]]}))


def stop(home: Path) -> bool:
    """Stops the server and its connections; returns whether it ran. Its data stays.

    Raises:
        TaxiError: It runs where this process cannot stop it.
    """
    home = home.absolute()
    if not lock.is_held(lock_file(home)):
        return _stop_older(home)
    from taxi_assets.local.stopping import stop_holders

    state = _state(home)
    # First it shuts down fast; if that hangs, immediately, and the next start recovers.
    if not stop_holders(lock_file(home), _ORDERS, lambda: _main_process(home)):
        raise lock.elsewhere("PostgreSQL", lock_file(home))
    if state and (folder := Path(state["folder"])).parent != home / "run":
        with suppress(OSError):
            folder.rmdir()
    return True


def _state_file(home: Path) -> Path:
    return home / "run" / "postgres.json"


def _state(home: Path) -> dict[str, Any] | None:
    """The folder of the socket, and what was made: pairs of user and database. None: of an older version, or none."""
    with suppress(FileNotFoundError, ValueError):
        state = json.loads(_state_file(home).read_text())
        if "made" in state:
            return dict(state)
    if folder := _line(home, 4):
        return {"folder": folder, "made": []}
    return None


def _line(home: Path, number: int) -> str | None:
    """A line of PostgreSQL's own `postmaster.pid`."""
    with suppress(OSError, ValueError, IndexError):
        return (files.data_folder(home) / "postmaster.pid").read_text().splitlines()[number]
    return None


def _main_process(home: Path) -> int | None:
    """The number of the main process, as its data folder names it."""
    line = _line(home, 0) or ""
    return int(line) if line.isdigit() else None


def _listens(folder: Path) -> bool:
    """Whether the main process is there. Where it was killed, the others hold the lock for a moment longer."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(folder / files.SOCKET_NAME))
        return True
    return False


def _stop_older(home: Path) -> bool:
    """Stops a server of an older version of this project, which holds no lock; returns whether it ran.

    Removes a `postmaster.pid` that names another program: PostgreSQL would take that for a server.
    """
    from taxi_assets.local.stopping import stop_older

    data = files.data_folder(home)
    if (pid := _main_process(home)) is None:
        return False
    stopped = stop_older(pid, lambda process: process.name() == "postgres" and str(data) in process.cmdline(), _ORDERS)
    if stopped is None:
        (data / "postmaster.pid").unlink(missing_ok=True)
    return bool(stopped)


def _launch(home: Path, held: int) -> None:
    """Starts the server, which gets the lock, and waits until it answers."""
    last = _state(home)
    _stop_older(home)
    private_folder(home / "run")
    files.create_data(home, held)
    folder = files.socket_folder(home, Path(last["folder"]) if last else None)
    for name in (files.SOCKET_NAME, f"{files.SOCKET_NAME}.lock"):
        (folder / name).unlink(missing_ok=True)
    configuration = files.write_configuration(home, folder)
    write_private(_state_file(home), json.dumps({"folder": str(folder), "made": []}))
    command = [str(files.programs() / "postgres"), "-D", str(files.data_folder(home))]
    command += ["-c", f"config_file={configuration}"]
    until = time.monotonic() + START_SECONDS
    while True:
        start = files.log_file(home).stat().st_size if files.log_file(home).exists() else 0
        process = _spawn(files.as_server(command), home, held)
        if _ready(EmbeddedPostgres(process.pid, folder), process, until):
            return
        output = files.log_tail(home, start)
        if not any(text in output for text in _TRANSIENT) or time.monotonic() > until:
            raise _not_started(home, output, process.poll())
        time.sleep(0.1)


def _spawn(command: list[str], home: Path, held: int) -> subprocess.Popen[bytes]:
    with private_log(files.log_file(home)) as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            pass_fds=[held],
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


def _answers(server: EmbeddedPostgres) -> bool:
    import psycopg

    with suppress(psycopg.OperationalError), superuser(server.folder):
        return True
    return False


def _ready(server: EmbeddedPostgres, process: subprocess.Popen[bytes], until: float) -> bool:
    """Waits until the server answers; returns False if its process ends first, or if it takes too long."""
    while time.monotonic() < until and process.poll() is None:
        if _answers(server):
            return True
        time.sleep(lock.PAUSE_SECONDS)
    if process.poll() is None:
        from taxi_assets.local.stopping import STOP_SECONDS

        process.send_signal(signal.SIGQUIT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    return False
