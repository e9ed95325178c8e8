"""Objects of the bucket: put, listed and removed with Google's client, in a few threads.

Each change names the generation that it replaces, so that it is safe to repeat: only then the client retries it, and no
other program's change is overwritten unseen.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from taxi_assets.stores.lake.files import LakeFile, content_folder
from taxi_assets.stores.lake.resource import LakeSession

if TYPE_CHECKING:
    from google.cloud.storage import Blob

CHUNK = 8 * 2**20
"""Bytes sent at a time: what an upload holds in memory."""
THREADS = 4
_CONTENT_TYPES = {".parquet": "application/vnd.apache.parquet", ".csv": "text/csv", ".gz": "application/gzip"}

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Stored(Protocol):
    """What the bucket says of an object: Google's `Blob`, or `records.Description`."""

    @property
    def size(self) -> int | str:
        """Its size."""

    @property
    def crc32c(self) -> str:
        """Its checksum, as Cloud Storage writes it."""


@dataclass(frozen=True)
class LakeObject:
    """An object as it was stored.

    Attributes:
        name: Its name in the bucket.
        rows: Its rows.
        bytes: Its size.
        crc32c: Its checksum, as Cloud Storage writes it.
        generation: Its version: another one after each overwriting.
    """

    name: str
    rows: int
    bytes: int
    crc32c: str
    generation: int

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> LakeObject:
        """The object that a manifest describes; what this version does not know is left out."""
        return cls(**{item.name: parts[item.name] for item in fields(cls)})

    def is_still(self, stored: Stored | None) -> bool:
        """Whether the bucket holds that content. Another load may have stored it once more, in another version."""
        return stored is not None and (int(stored.size), stored.crc32c) == (self.bytes, self.crc32c)


def side_by_side(work: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """The answers in the items' order; the first error is raised when all are done."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="lake") as pool:
        return list(pool.map(work, items))


def crc32c(path: Path) -> str:
    """The checksum of a file, as Cloud Storage writes it."""
    with path.open("rb") as file:
        return _checksum(iter(lambda: file.read(2**20), b""))


def _checksum(blocks: Iterable[bytes]) -> str:
    import google_crc32c

    checksum: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    for block in blocks:
        checksum.update(block)
    return base64.b64encode(checksum.digest()).decode()


def month_globs(pipeline: str, month: str) -> tuple[str, str]:
    """The patterns of the names of Parquet objects with rows of that month, copies of rejected rows left out."""
    return f"{content_folder(pipeline)}*_{month}-*.parquet", f"{pipeline}/**{pipeline}_{month}*.parquet"


def month_objects(session: LakeSession, pipeline: str, month: str) -> dict[str, Blob]:
    """The Parquet objects with rows of that month, whoever wrote them, by name; without copies of rejected rows."""
    globs = month_globs(pipeline, month)
    listed = side_by_side(lambda glob: list(session.bucket.list_blobs(match_glob=glob, retry=session.retry)), globs)
    return {blob.name: blob for blobs in listed for blob in blobs}


def put_text(session: LakeSession, name: str, text: str, generation: int) -> int:
    """Replaces that version of an object by a text that no other writer sends; returns the new version.

    Raises:
        google.api_core.exceptions.PreconditionFailed: It is not that version any more.
    """
    from google.api_core.exceptions import PreconditionFailed

    blob = session.bucket.blob(name)
    try:
        blob.upload_from_string(
            text,
            content_type="application/json",
            if_generation_match=generation,
            checksum="crc32c",
            retry=session.retry,
        )
    except PreconditionFailed:
        # The answer to a first request may have been lost: then the text is ours.
        blob = session.bucket.get_blob(name, retry=session.retry)
        if blob is None or blob.crc32c != _checksum([text.encode()]):
            raise
    return int(blob.generation)


def put(session: LakeSession, file: LakeFile, existing: Blob | None, *, again: bool = False) -> tuple[LakeObject, bool]:
    """Sends a file, unless the object has the same content; whole or not at all.

    Args:
        session: The bucket.
        file: The file.
        existing: The object that has this name now.
        again: Whether to send the same content, too: for a version that nobody removes as a leftover.

    Returns:
        The object, and whether it was sent.

    Raises:
        google.api_core.exceptions.PreconditionFailed: Somebody else changed the object at the same time.
    """
    from google.api_core.exceptions import NotFound, PreconditionFailed

    checksum = crc32c(file.path)
    sent = again or existing is None or existing.crc32c != checksum
    blob = existing
    if sent:
        blob = session.bucket.blob(file.name, chunk_size=CHUNK)
        try:
            blob.upload_from_filename(
                str(file.path),
                content_type=_CONTENT_TYPES.get(file.path.suffix.lower(), "application/octet-stream"),
                if_generation_match=int(existing.generation) if existing is not None else 0,
                checksum="crc32c",
                retry=session.retry,
            )
        except (NotFound, PreconditionFailed):
            # The answer to a first request may have been lost, or another load sent the same: then all is well.
            blob = session.bucket.get_blob(file.name, retry=session.retry)
            if blob is None or blob.crc32c != checksum:
                raise
    assert blob is not None  # noqa: S101
    return LakeObject(file.name, file.rows, int(blob.size), blob.crc32c, int(blob.generation)), sent


def remove(session: LakeSession, blobs: Sequence[Blob]) -> None:
    """Removes these versions of objects; one that is gone already is no error.

    Raises:
        google.api_core.exceptions.PreconditionFailed: Somebody else replaced one.
    """
    from google.api_core.exceptions import NotFound

    def one(blob: Blob) -> None:
        with suppress(NotFound):
            blob.delete(if_generation_match=int(blob.generation), retry=session.retry)

    side_by_side(one, blobs)


def remove_leftovers(session: LakeSession, blobs: Sequence[Blob]) -> int:
    """Removes these versions of objects where they are still there; returns how many it removed."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    def one(blob: Blob) -> int:
        with suppress(NotFound, PreconditionFailed):
            blob.delete(if_generation_match=int(blob.generation), retry=session.retry)
            return 1
        return 0

    return sum(side_by_side(one, blobs))
