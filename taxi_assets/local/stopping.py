"""Stops the processes of a server: those that hold the lock of its data (`lock.py`)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from taxi_assets.local import lock

STOP_SECONDS = 15


def stop_holders(file: Path, orders: Sequence[signal.Signals], main: Callable[[], int | None]) -> bool:
    """Sends one signal after the other, until the lock is free.

    Args:
        file: The file of the lock.
        orders: The signals.
        main: Returns the number of the main process, which alone gets them, where it holds the lock.

    Returns:
        Whether the lock is free. Otherwise, a process holds it that cannot be seen from here.
    """
    for order in orders:
        for process in _holders(file, main()):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(order)
        if lock.becomes_free(file, STOP_SECONDS if _holders(file) else 1):
            return True
    return False


def _holders(file: Path, first: int | None = None) -> list[psutil.Process]:
    """The processes that hold the lock, as far as this PID namespace shows them; only `first`, where it is one."""
    if first is not None and (process := _holder(first, file)):
        return [process]
    return [found for pid in psutil.pids() if pid != os.getpid() and (found := _holder(pid, file))]


def _holder(pid: int, file: Path) -> psutil.Process | None:
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if any(opened.path == str(file.resolve()) for opened in process.open_files()):
            return process
    return None


def stop_older(pid: int, is_server: Callable[[psutil.Process], bool], orders: Sequence[signal.Signals]) -> bool | None:
    """Stops a server of an older version of this project, which holds no lock.

    Returns:
        Whether it ran; None: the number is that of another program.
    """
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if not is_server(process):
            return None
        for order in orders:
            process.send_signal(order)
            with suppress(psutil.TimeoutExpired):
                process.wait(STOP_SECONDS)
                break
        return True
    return False
