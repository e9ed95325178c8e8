"""A file while it comes in: resumable, also after a kill, and one process at a time.

It stands in `{file}.part`, with the version it belongs to in `{file}.part.json`: whoever asks for the file next goes on
from there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from taxi_assets.sources.errors import INTACT, SourceUnavailable
from taxi_assets.sources.record import Validators, write_whole
from taxi_assets.sources.transport import Resume

_VERSION = TypeAdapter(Validators)


class Part:
    """The file while it comes in."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._version = target.with_name(f"{target.name}.part.json")

    def resume(self) -> Resume | None:
        """Where an earlier download broke off, and in which version of the file."""
        try:
            validators = _VERSION.validate_json(self._version.read_bytes())
            return Resume(self.path.stat().st_size, validators)
        except (FileNotFoundError, ValidationError):
            return None

    def begin(self, validators: Validators) -> None:
        """Starts over, with this version of the file."""
        self.discard()
        write_whole(self._version, _VERSION.dump_json(validators).decode())

    def discard(self) -> None:
        """Forgets what came in."""
        self._version.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def place(self, target: Path) -> None:
        """Puts the file where it belongs: at once, and lasting."""
        self.path.replace(target)
        self._version.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def alone(target: Path, seconds: float) -> Iterator[None]:
    """Keeps other processes from fetching the same file meanwhile.

    Raises:
        SourceUnavailable: Another one has been at it for longer than that many seconds.
    """
    lock = FileLock(target.with_name(f"{target.name}.lock"), timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise SourceUnavailable(
            "Another process has been fetching the same file for long.",
            where=str(target),
            intact=INTACT,
            next_step="wait for it, or end it",
        ) from None
    try:
        yield
    finally:
        lock.release()
