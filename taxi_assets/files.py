"""Files and folders below `TAXI_HOME`: readable only by their owner, and never half written."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO

from taxi_assets.errors import TaxiError

_OTHERS = 0o077
_LOCK = ".lock"


def unwritable(path: Path, error: OSError) -> TaxiError:
    """The error of a file or folder below `TAXI_HOME` that cannot be used."""
    return TaxiError(
        "The folder of all local state cannot be used.",
        expected="a folder that this user may read and write, with room on its disk",
        found=error.strerror or str(error),
        where=str(path),
        intact="everything in it",
        next_step="give this user the right to write there, or set TAXI_HOME to another folder",
    )


def private_process() -> None:
    """Makes what this process and its children write readable only by their user."""
    os.umask(_OTHERS)


def private_folder(path: Path) -> Path:
    """The folder, created where it is missing, with its parents; readable only by its owner.

    Raises:
        TaxiError: It cannot be created.
    """
    try:
        _create(path)
    except OSError as error:
        raise unwritable(path, error) from None
    return path


def _create(path: Path) -> None:
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        _create(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise
        _close_to_others(path, status)


def _close_to_others(path: Path, status: os.stat_result) -> None:
    """Takes the rights of others away, where this user owns the file or folder."""
    if status.st_mode & _OTHERS and status.st_uid == os.geteuid():
        with suppress(OSError):
            path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)


def open_home(home: Path) -> Path:
    """The folder of all local state. Closes what an older version left open to others, once.

    Raises:
        TaxiError: It cannot be created.
    """
    if not home.is_dir():
        return private_folder(home)
    done = home / "run" / "private"
    if not done.exists():
        for folder, folders, names in os.walk(home):
            for name in (*folders, *names):
                path = Path(folder, name)
                with suppress(OSError):
                    status = path.lstat()
                    if not stat.S_ISLNK(status.st_mode):
                        _close_to_others(path, status)
        with suppress(OSError, TaxiError):  # a home that is only read
            private_folder(done.parent)
            done.touch(0o600)
    return home


def write_private(path: Path, text: str) -> None:
    """Writes a small file atomically, readable only by its owner.

    Raises:
        TaxiError: It cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None


def private_log(path: Path) -> BinaryIO:
    """The file of a server's output, opened to add to it; readable only by its owner.

    Raises:
        TaxiError: It cannot be opened.
    """
    private_folder(path.parent)
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    except OSError as error:
        raise unwritable(path, error) from None


@contextmanager
def work_folder(home: Path, name: str) -> Iterator[Path]:
    """An empty folder for the unfinished files of a step, removed afterwards.

    Its process locks a file beside it for as long as it lives. Folders without a living process are removed, too.

    Raises:
        TaxiError: It cannot be created.
    """
    root = private_folder(home / "tmp")
    try:
        with locked(root / _LOCK):
            dead = [folder for folder in root.iterdir() if folder.is_dir() and _is_dead(folder)]
            folder = Path(mkdtemp(prefix=f"{name}.", dir=root))
            held = _take(folder / _LOCK)
            work = private_folder(folder / "files")
    except OSError as error:
        raise unwritable(root, error) from None
    try:
        for left in dead:
            shutil.rmtree(left, ignore_errors=True)
        yield work
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for the lock on a file, which is created where it is missing, and holds it for the block."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _is_dead(folder: Path) -> bool:
    """Whether no process works in the folder."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return _is_dead_older(folder)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_dead_older(folder: Path) -> bool:
    """Whether an older version, which locked nothing, left the folder: it is named by the number of its process."""
    import psutil

    pid = folder.name.rpartition(".")[2]
    return not pid.isdigit() or not psutil.pid_exists(int(pid))
