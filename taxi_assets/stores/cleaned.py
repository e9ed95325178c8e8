"""Where cleaned months are on this machine: each by its content, so that no run reads another's rows.

    clean/{pipeline}/{month}/{key}.parquet        the kept rows; below `rejected/` the rejected ones
    clean/{pipeline}/{month}/current              the key of the newest full month
    clean/{pipeline}/{month}/run-{run id}         the key that this run cleaned

The key is made of the file's record, rules and columns, code and limit. A trial has a key of its own and is never
current. Whoever reads a file holds a shared lock of the kernel on it until its run ends; what is neither current, nor
newest, nor locked is swept when the month is cleaned again. `clean/{pipeline}/{month}.parquet` is of an older version
of the platform: it is read where nothing newer is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxi_assets.files import private_folder, write_private
from taxi_assets.trips.table import TripTable

KINDS = ("clean", "rejected")
"""The folders of kept and rejected rows."""
KEPT_BESIDES = 1
"""How many cleanings of a month stay besides the current one; as many trials."""
_RUNS = 20
_TRIAL = "trial-"


def cleaning_key(metadata: Mapping[str, Any]) -> str:
    """The name of a cleaning: the same for the same file, rules, columns, code and limit.

    Args:
        metadata: The metadata that the cleaned file carries.
    """
    parts = {name: metadata.get(name) for name in ("source", "cleaning", "code", "limit")}
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:20]
    return f"{_TRIAL if metadata.get('limit') else ''}{digest}"


@dataclass(frozen=True)
class CleanedFiles:
    """The cleanings of one month on this machine.

    Attributes:
        home: The folder of all local state.
        pipeline: The name of the pipeline.
        month: The month, as `2021-01`.
    """

    home: Path
    pipeline: str
    month: str

    def folder(self, kind: str) -> Path:
        """The folder of the kept or the rejected rows."""
        return self.home / kind / self.pipeline / self.month

    def path(self, kind: str, key: str) -> Path:
        """The file of a cleaning."""
        return self.folder(kind) / f"{key}.parquet"

    def legacy(self, kind: str) -> Path:
        """Where an older version of the platform kept the month."""
        return self.home / kind / self.pipeline / f"{self.month}.parquet"

    def put(self, kind: str, table: TripTable, run_id: str) -> Path:
        """Moves the rows to their place, holds them for the run, and names them as the run's cleaning.

        The last of the two files also makes a full month the current one, and sweeps the others.
        """
        key = cleaning_key(table.metadata)
        path = self.path(kind, key)
        private_folder(path.parent)
        _hold(table.path, run_id)
        table.path.replace(path)
        if all(self.path(other, key).exists() for other in KINDS):
            write_private(self.folder("clean") / f"run-{run_id}", key)
            if not key.startswith(_TRIAL):
                write_private(self.folder("clean") / "current", key)
            self._sweep()
        return path

    def find(self, kind: str, run_ids: Sequence[str]) -> TripTable | None:
        """The rows that one of these runs cleaned, or else those of the newest full month; None: there are none.

        Args:
            kind: `clean` or `rejected`.
            run_ids: The run, which holds the file from now on, and the runs that it repeats.
        """
        for name in (*(f"run-{run_id}" for run_id in run_ids), "current"):
            if key := self._pointer(name):
                if _hold(self.path(kind, key), run_ids[0] if run_ids else ""):
                    return TripTable(self.path(kind, key))
                if name != "current":
                    # Another cleaning would be another run's.
                    return None
        legacy = TripTable(self.legacy(kind))
        return legacy if legacy.path.exists() and not legacy.metadata.get("limit") else None

    def matching(self, fits: Callable[[TripTable], bool], run_id: str) -> TripTable | None:
        """The kept rows of the newest full month that fits; None: there is none."""
        files = [self.path("clean", key) for key in self._keys(trial=False)]
        for path in (*files, self.legacy("clean")):
            if _hold(path, run_id) and fits(table := TripTable(path)) and not table.metadata.get("limit"):
                return table
        return None

    def _pointer(self, name: str) -> str | None:
        try:
            return (self.folder("clean") / name).read_text()
        except FileNotFoundError:
            return None

    def _keys(self, *, trial: bool) -> list[str]:
        """The keys of full months or of trials, the newest first."""
        found = {}
        for path in self.folder("clean").glob("*.parquet"):
            if path.name.startswith(_TRIAL) == trial:
                found[path.stem] = _changed(path)
        return sorted(found, key=lambda key: -found[key])

    def _sweep(self) -> None:
        current = self._pointer("current")
        for trial in (False, True):
            others = [key for key in self._keys(trial=trial) if key != current]
            for key in others[KEPT_BESIDES:]:
                for kind in KINDS:
                    _remove(self.path(kind, key))
        if current:
            for kind in KINDS:
                _remove(self.legacy(kind))
        keep_newest(self.folder("clean").glob("run-*"))


def keep_newest(records: Iterable[Path]) -> None:
    """Removes the records of all but the newest runs of a month."""
    for path in sorted(records, key=_changed, reverse=True)[_RUNS:]:
        path.unlink(missing_ok=True)


_held: dict[Path, int] = {}
_holder = ""


def _hold(path: Path, run_id: str) -> bool:
    """Locks a file against the sweep for as long as this process executes the run; False: there is no such file.

    The lock belongs to the file, not to its name: it stays when the file is moved.
    """
    global _holder
    if run_id != _holder:
        for descriptor in _held.values():
            os.close(descriptor)
        _held.clear()
        _holder = run_id
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:
            break
        # It was swept between the two calls.
        os.close(descriptor)
    if path in _held:
        os.close(_held[path])
    _held[path] = descriptor
    return True


def _remove(path: Path) -> None:
    """Removes a file, if nobody holds it."""
    with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
