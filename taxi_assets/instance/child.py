"""A process of `taxi dev`: its sockets are in a folder of the user's own, and it ends with `taxi dev`.

`python -m taxi_assets.instance.child FOLDER SCRIPT …` is such a process of any of the environment's scripts.
"""

from __future__ import annotations

import os
import re
import runpy
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from taxi_assets.files import private_folder

_LONGEST_SOCKET = 100
"""Bytes of a socket's path: the system's limit is 108 or less, with the name."""
_SOCKET_NAME = "tmp12345678"
_PLAIN = re.compile(r"[A-Za-z0-9/._~-]+")


@contextmanager
def socket_folder(home: Path) -> Iterator[Path]:
    """The folder of the code servers' sockets, for this user only; without the sockets of dead servers.

    It is a temporary one where the home's path is too long for a socket, or has characters that gRPC reads otherwise:
    for it, a socket is an address, in which a comma separates two and a space ends it.
    """
    folder = private_folder(home / "run") / "code"
    if len(os.fsencode(folder / _SOCKET_NAME)) > _LONGEST_SOCKET or not _PLAIN.fullmatch(str(folder)):
        with tempfile.TemporaryDirectory(prefix="taxi-code-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
        return
    private_folder(folder).chmod(0o700)
    for file in folder.iterdir():
        if file.is_socket() and not listens(file):
            file.unlink(missing_ok=True)
    yield folder


def listens(path: Path) -> bool:
    """Whether a process listens on this socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


def join_parent(folder: Path) -> None:
    """Puts the sockets of Dagster's code servers into the folder; ends this process when its parent is gone.

    Dagster has no setting for the place: it takes a name from `tempfile`. The variable TMPDIR would also move the
    temporary files of the runs. The parent holds the other end of the standard input.
    """
    tempfile.tempdir = str(folder)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    join_parent(Path(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
