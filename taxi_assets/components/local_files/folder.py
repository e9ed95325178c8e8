"""A watched folder: which of its files are complete, and the version of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from taxi_assets.errors import TransientError

SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class FileState:
    """The state of a file at a look into the folder.

    Attributes:
        size: Its bytes.
        changed: When it was changed last, in nanoseconds since 1970.
        sha256: The checksum of its last complete version; None: it had none yet.
        complete: Whether that is this version.
    """

    size: int
    changed: int
    sha256: str | None = None
    complete: bool = False

    def same(self, other: FileState | None) -> bool:
        """Whether nobody has written to it since."""
        return other is not None and (self.size, self.changed) == (other.size, other.changed)


def watched_files(folder: Path) -> list[Path]:
    """The CSV and Parquet files that lie in the folder itself, by name; hidden ones are left alone."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith((".", "~")))
    return sorted(path for path in files if path.name.lower().endswith(SUFFIXES))


def look(folder: Path, before: Mapping[str, FileState]) -> dict[str, FileState]:
    """The files of the folder now.

    A file is complete, and gets its checksum, when its size and time are what they were at the look before.

    Args:
        folder: The folder; a missing one counts as empty.
        before: The states at the look before, by name.
    """
    states = {}
    for path in watched_files(folder):
        with suppress(FileNotFoundError):
            states[path.name] = _state(path, before.get(path.name))
    return states


def _state(path: Path, known: FileState | None) -> FileState:
    now = _stat(path)
    if known is None or not now.same(known):
        return replace(now, sha256=known.sha256 if known else None)
    return known if known.complete else replace(now, sha256=sha256(path), complete=True)


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def untouched(path: Path) -> Iterator[None]:
    """Reads a file in the block as one version.

    Raises:
        TransientError: Somebody wrote to it meanwhile, or took it away.
    """
    try:
        before = _stat(path)
        yield
        same = _stat(path).same(before)
    except FileNotFoundError:
        same = False
    if not same:
        raise TransientError(
            f"The file {path.name} was changed or removed while it was read.",
            expected="a file that lies still",
            where=str(path),
            intact="its table in BigQuery",
            next_step="leave it; it is loaded when it has not changed between two looks",
        )


def _stat(path: Path) -> FileState:
    status = path.stat()
    return FileState(status.st_size, status.st_mtime_ns)
