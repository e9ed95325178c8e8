"""What HTTP and folders have in common: a source's response, and the versions of its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Validators:
    """The ETag and the Last-Modified by which a server recognises a version of a file."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def strong(self) -> str | None:
        """The value for `If-Range`; None where the server sends no strong validator."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def __bool__(self) -> bool:
        return bool(self.etag or self.last_modified)


@dataclass(frozen=True)
class Resume:
    """The part of a file that is on this machine.

    Attributes:
        offset: Its size in bytes.
        validators: The version of the file.
    """

    offset: int
    validators: Validators


@dataclass(frozen=True)
class SourceResponse:
    """A source's response.

    Attributes:
        validators: The version of the file.
        total: The size of the whole file in bytes; None where the source does not send it.
        offset: Where in the file the chunks begin: at the resumed offset, or at 0.
        chunks: The bytes; None where the known version is the newest one.
        synthetic: Whether the source declares the content synthetic.
    """

    validators: Validators
    total: int | None
    offset: int
    chunks: Iterator[bytes] | None
    synthetic: bool = False


class Transport(Protocol):
    """Access to a source; a context manager that closes its connections."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def open(
        self, address: str, *, known: Validators | None, resume: Resume | None
    ) -> AbstractContextManager[SourceResponse]:
        """Requests a file: only if its version is not `known`, and only the bytes after `resume`.

        Raises:
            NotFound: Nothing is published at the address.
            SourceUnavailable: The source does not deliver now. The chunks raise it too.
            SourceError: The source refuses.
        """

    def head(self, address: str, *, known: Validators | None = None) -> SourceResponse:
        """Requests what a source knows of a file, without its bytes; `known` without a size where that is the newest.

        Raises what `open` raises.
        """
