"""How bytes come from a source, whatever its kind: what HTTP and files have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from taxi_assets.sources.record import Validators

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Resume:
    """The part of a file that is here already.

    Attributes:
        offset: Its bytes.
        validators: What the source recognised its version by.
    """

    offset: int
    validators: Validators


@dataclass(frozen=True)
class Answer:
    """What a source answers.

    Attributes:
        validators: What it recognises this version of the file by.
        total: The size of the whole file in bytes, where the source says it.
        offset: Where in the file the chunks begin: at the part that is here already, or at 0.
        chunks: The bytes; None where the version asked about is the newest one.
        sample: Whether the source says that the content is made up.
    """

    validators: Validators
    total: int | None
    offset: int
    chunks: Iterator[bytes] | None
    sample: bool = False


class Transport(Protocol):
    """A way to a source."""

    def open(self, address: str, *, known: Validators | None, resume: Resume | None) -> AbstractContextManager[Answer]:
        """Asks for a file: only if it is another version than `known`, and only what is missing after `resume`.

        Raises:
            NotFound: Nothing is published at the address.
            SourceUnavailable: The source does not deliver now; also raised by the chunks.
            SourceError: The source refuses.
        """

    def look(self, address: str, *, known: Validators | None = None) -> Answer:
        """Asks about a file, without its bytes; the answer is `known`, without a size, where that is newest.

        Raises what `open` raises.
        """
