"""The lock of a server: the kernel holds it for as long as the server lives, and frees it however the server ends.

Whoever starts a server takes the lock on a file in the folder of the server's data, and hands the open file down to the
server's process. It stays locked until the last process that has the file open is gone. A lock knows no process numbers
and no clock, so it is the same in every container on that folder, and after a step of the clock.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.files import private_folder, unwritable

PAUSE_SECONDS = 0.02


def lock_file(folder: Path) -> Path:
    """The file of the lock on a server's data."""
    return folder / "server.lock"


@contextmanager
def taken(file: Path) -> Iterator[int | None]:
    """Takes the lock, unless another process holds it; the block gets the open file to hand down, or None.

    Leaving the block closes the file here: the lock stays with the process that it was handed down to, or is free.
    """
    private_folder(file.parent)
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unwritable(file, error) from None
    try:
        yield descriptor if _lock(descriptor, fcntl.LOCK_EX, file) else None
    finally:
        os.close(descriptor)


def is_held(file: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unwritable(file, error) from None
    try:
        return not _lock(descriptor, fcntl.LOCK_SH, file)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int, file: Path) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise TaxiError(
            "The file system of TAXI_HOME has no locks.",
            expected="a file system that lets a process lock a file (flock)",
            found=error.strerror or str(error),
            where=str(file),
            next_step="let TAXI_HOME name a folder on a local disk",
        ) from None
    return True


def becomes_free(file: Path, seconds: float) -> bool:
    """Waits until no process holds the lock; returns False if it takes longer."""
    until = time.monotonic() + seconds
    while is_held(file):
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


@cache
def network() -> str:
    """The network that this process is in: two with the same name share one loopback. Empty: there is only one."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/net').readlink()}"
    return ""


def elsewhere(name: str, file: Path) -> TaxiError:
    """The error of a server that runs, and that this process can neither use nor stop."""
    return TaxiError(
        f"The local {name} runs in another container or namespace.",
        expected="a server in this one, or none",
        found="the lock of its data is held by a process that cannot be seen from here",
        where=str(file),
        intact="the server and its data",
        next_step="use or stop it (`taxi down`) where it was started, or set TAXI_HOME to another folder here",
    )


def busy(name: str, file: Path, seconds: float) -> TransientError:
    """The error of a server that neither becomes ready nor ends."""
    return TransientError(
        f"Another process has been starting or stopping the local {name} for too long.",
        expected=f"a server that answers, or a free lock, within {seconds:.0f} seconds",
        found="the lock of its data is held, and no server answers",
        where=str(file),
        intact="its data",
        next_step="see with `taxi status` what runs, try again, or run `taxi down` first",
    )
