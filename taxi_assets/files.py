"""Files and folders below `TAXI_HOME`: readable only by their owner, and never half written."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def private_folder(path: Path) -> Path:
    """The folder, created where it is missing, readable only by its owner."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Writes a small file atomically, readable only by its owner."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


@contextmanager
def work_folder(home: Path, name: str) -> Iterator[Path]:
    """An empty folder for the unfinished files of a step, removed afterwards.

    Also removes the folders of processes that were killed.
    """
    root = private_folder(home / "tmp")
    for folder in root.iterdir():
        pid = folder.name.rpartition(".")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
    folder = root / f"{name}.{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
