"""What is known of a file of a source: fetched, or published only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from taxi_assets.sources.layouts import LayoutName
from taxi_assets.sources.transport import Validators


class SourceFile(BaseModel):
    """A fetched file, complete and checked.

    Attributes:
        path: Its path on this machine.
        url: Its address, without credentials.
        bytes: Its size.
        sha256: Its SHA-256, in hexadecimal digits.
        etag: The server's ETag.
        last_modified: The server's Last-Modified, an HTTP date.
        fetched_at: When it was fetched, UTC, ISO 8601.
        synthetic: Whether its content is synthetic; in JSON `sample`.
        attempts: How many attempts the last fetch took.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    path: Path
    url: str
    bytes: int
    sha256: str
    etag: str | None
    last_modified: str | None
    fetched_at: str
    synthetic: bool = Field(alias="sample")
    attempts: int = 1

    @property
    def validators(self) -> Validators:
        """The version of the file."""
        return Validators(self.etag, self.last_modified)


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
    """A file that a source has, not fetched.

    Attributes:
        url: Its address, without credentials.
        layout: `csv` or `parquet`.
        etag: The server's ETag.
        last_modified: The server's Last-Modified, an HTTP date.
        bytes: Its size, where the server sends it.
    """

    url: str
    layout: LayoutName
    etag: str | None
    last_modified: str | None
    bytes: int | None

    @property
    def validators(self) -> Validators:
        """The version of the file."""
        return Validators(self.etag, self.last_modified)
