"""One file of a source on this machine: in place whole, checked and recorded, or as it was before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from taxi_assets.sources.addresses import shown
from taxi_assets.sources.download import Downloaded, Request, download
from taxi_assets.sources.errors import INTACT, SourceError
from taxi_assets.sources.part import Part, alone
from taxi_assets.sources.record import SourceFile, keep, kept
from taxi_assets.sources.retry import Patience
from taxi_assets.sources.transport import Transport


def fetch_file(transport: Transport, request: Request, patience: Patience, *, sample: bool) -> SourceFile:
    """Fetches a file, unless the newest version is here already.

    Raises:
        SourceError: Besides what `download` raises: the file cannot be written here.
    """
    target = request.target
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(target, patience.lock_timeout):
            here = None if request.force else kept(target)
            known = here.validators if here else None
            new, attempts = download(transport, request, known, patience)
            if new is None:
                return replace(cast(SourceFile, here), attempts=attempts)
            record = _record(request, new, attempts, sample or new.sample)
            Part(target).place(target)
            keep(record)
            return record
    except OSError as error:
        raise _unwritable(error, target) from None


def _record(request: Request, new: Downloaded, attempts: int, sample: bool) -> SourceFile:
    return SourceFile(
        path=request.target,
        url=shown(request.address),
        bytes=new.bytes,
        sha256=new.sha256,
        etag=new.validators.etag,
        last_modified=new.validators.last_modified,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sample=sample,
        attempts=attempts,
    )


def _unwritable(error: OSError, path: Path) -> SourceError:
    return SourceError(
        "The file cannot be written on this machine.",
        found=error.strerror or str(error),
        where=str(path),
        intact=INTACT,
        next_step="make room there, or choose another place with TAXI_HOME",
    )
