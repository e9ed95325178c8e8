"""What is known of a fetched file, and how it is kept beside the file.

The record stands in `{file}.json`, with the file's size and time of change. Where these disagree with the file (a kill
between the two writes, a file that someone edited), the record counts as missing and the file is fetched anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from taxi_assets.files import write_private
from taxi_assets.sources.layouts import LayoutName


@dataclass(frozen=True)
class Validators:
    """What a server says to recognise a version of a file by."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def strong(self) -> str | None:
        """What `If-Range` may carry; None where the server gave nothing that holds byte for byte."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def __bool__(self) -> bool:
        return bool(self.etag or self.last_modified)


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file that was fetched, whole and checked.

    Attributes:
        path: Where it stands on this machine.
        url: Where it came from, without credentials.
        bytes: Its size.
        sha256: Its SHA-256, in hexadecimal digits.
        etag: The server's ETag.
        last_modified: The server's Last-Modified, an HTTP date.
        fetched_at: When it was fetched, UTC, ISO 8601.
        sample: Whether its content is made up.
        attempts: How many attempts the last fetch took; more than one means that something passed.
    """

    path: Path
    url: str
    bytes: int
    sha256: str
    etag: str | None
    last_modified: str | None
    fetched_at: str
    sample: bool
    attempts: int = 1

    @property
    def validators(self) -> Validators:
        """What the server recognises this version by."""
        return Validators(self.etag, self.last_modified)

    def to_json(self) -> str:
        """The record as JSON."""
        return TypeAdapter(type(self)).dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: It is no such record.
        """
        return TypeAdapter(cls).validate_json(text)


@dataclass(frozen=True, kw_only=True)
class RawFile(SourceFile):
    """A month's file as it was published.

    Attributes:
        service: `yellow` or `green`.
        month: The first day of the file's month.
        layout: `csv` (gzipped) or `parquet`.
    """

    service: str
    month: date
    layout: LayoutName


@dataclass(frozen=True)
class Published:
    """A file at a source that was asked about, not fetched.

    Attributes:
        url: Its address, without credentials.
        layout: `csv` or `parquet`.
        etag: The server's ETag.
        last_modified: The server's Last-Modified, an HTTP date.
        bytes: Its size, where the server says it.
    """

    url: str
    layout: LayoutName
    etag: str | None
    last_modified: str | None
    bytes: int | None

    @property
    def validators(self) -> Validators:
        """What the server recognises this version by."""
        return Validators(self.etag, self.last_modified)


@dataclass(frozen=True)
class _Kept:
    """What a sidecar holds: the file's record, and the time of change of the file that it describes."""

    record: SourceFile
    mtime_ns: int


_SIDECAR = TypeAdapter(_Kept)


def sidecar(path: Path) -> Path:
    """Where the record of a file stands."""
    return path.with_name(f"{path.name}.json")


def keep(record: SourceFile) -> None:
    """Writes the record beside its file, which must be in place already."""
    entry = _Kept(record, record.path.stat().st_mtime_ns)
    write_private(sidecar(record.path), _SIDECAR.dump_json(entry, indent=2).decode())


def kept(path: Path) -> SourceFile | None:
    """The record of a file that is in place and as it was when the record was written."""
    try:
        entry = _SIDECAR.validate_json(sidecar(path).read_bytes())
        now = path.stat()
    except (FileNotFoundError, ValidationError):
        return None
    intact = (now.st_size, now.st_mtime_ns) == (entry.record.bytes, entry.mtime_ns)
    return replace(entry.record, path=path) if intact else None
