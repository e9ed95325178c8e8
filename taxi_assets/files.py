"""Files and folders below `TAXI_HOME`: readable by their owner alone, in place whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def private_folder(path: Path) -> Path:
    """The folder, made where it is missing, readable by its owner alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Writes a small file that its owner alone can read, in place at once."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


@contextmanager
def work_folder(home: Path, name: str) -> Iterator[Path]:
    """An empty folder for the files that a step makes before they are whole; gone afterwards.

    Sweeps what killed processes left behind.
    """
    root = private_folder(home / "tmp")
    for left in root.iterdir():
        pid = left.name.rpartition(".")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    folder = root / f"{name}.{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
