"""Objects of the bucket: put, listed and removed with Google's client, in a few threads.

Each change names the generation that it replaces, so that it is safe to repeat: only then the client retries it, and no
other program's change is overwritten unseen.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from taxi_assets.stores.lake.files import LakeFile
from taxi_assets.stores.lake.resource import LakeSession

if TYPE_CHECKING:
    from google.cloud.storage import Blob

CHUNK = 8 * 2**20
"""Bytes sent at a time: what an upload holds in memory."""
THREADS = 4
_CONTENT_TYPES = {".parquet": "application/vnd.apache.parquet", ".csv": "text/csv", ".gz": "application/gzip"}

Item = TypeVar("Item")
Answer = TypeVar("Answer")


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

    def is_still(self, blob: Blob | None) -> bool:
        """Whether the bucket holds that very version."""
        return blob is not None and (int(blob.generation), blob.crc32c) == (self.generation, self.crc32c)


def side_by_side(work: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """The answers in the items' order; the first error is raised when all are done."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="lake") as pool:
        return list(pool.map(work, items))


def crc32c(path: Path) -> str:
    """The checksum of a file, as Cloud Storage writes it."""
    import google_crc32c

    checksum: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with path.open("rb") as file:
        while block := file.read(2**20):
            checksum.update(block)
    return base64.b64encode(checksum.digest()).decode()


def month_objects(session: LakeSession, service: str, month: str) -> dict[str, Blob]:
    """The objects with kept rows of that month, whoever wrote them, by name."""
    blobs = session.bucket.list_blobs(match_glob=f"{service}/**{service}_{month}*", retry=session.retry)
    return {blob.name: blob for blob in blobs}


def put(session: LakeSession, file: LakeFile, existing: Blob | None) -> tuple[LakeObject, bool]:
    """Sends a file, unless the object has the same content; whole or not at all.

    Args:
        session: The bucket.
        file: The file.
        existing: The object that has this name now.

    Returns:
        The object, and whether it was sent.

    Raises:
        google.api_core.exceptions.PreconditionFailed: Somebody else changed the object at the same time.
    """
    from google.api_core.exceptions import PreconditionFailed

    checksum = crc32c(file.path)
    sent = existing is None or existing.crc32c != checksum
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
        except PreconditionFailed:
            # The answer to a first request may have been lost: then the object is ours.
            blob.reload(retry=session.retry)
            if blob.crc32c != checksum:
                raise
    assert blob is not None  # noqa: S101
    return LakeObject(file.name, file.rows, int(blob.size), blob.crc32c, int(blob.generation)), sent


def remove(session: LakeSession, blobs: Sequence[Blob]) -> None:
    """Removes these versions of objects; one that is gone already is no error."""
    from google.api_core.exceptions import NotFound

    def one(blob: Blob) -> None:
        try:
            blob.delete(if_generation_match=int(blob.generation), retry=session.retry)
        except NotFound:
            return

    side_by_side(one, blobs)
