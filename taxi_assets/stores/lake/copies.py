"""The fixed names that people know: copies of the objects that the manifest names, made within the bucket.

They are written after the manifest. A load that is killed before leaves them as they were, whole, and the next one
writes them. A copy is replaced in the version that was read before the manifest was, so that a late load never
overwrites the copy of a newer one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.files import LakeFile
from taxi_assets.stores.lake.manifest import LakeLoad, read_current
from taxi_assets.stores.lake.objects import crc32c, side_by_side
from taxi_assets.stores.lake.resource import LakeSession, lake_session
from taxi_assets.trips.table import METADATA_KEY

if TYPE_CHECKING:
    from google.cloud.storage import Blob

ATTEMPTS = 5


def fixed_objects(session: LakeSession, files: Sequence[LakeFile], base: LakeLoad | None) -> Mapping[str, Blob | None]:
    """The objects that have the fixed names of these files now, by name.

    Args:
        session: The bucket.
        files: The files of the month.
        base: The month as it is.

    Raises:
        TaxiError: One belongs to somebody else.
    """
    paths = {file.fixed_name: file.path for file in files if file.fixed_name}
    blobs = side_by_side(lambda name: session.bucket.get_blob(name, retry=session.retry), paths)
    found = dict(zip(paths, blobs, strict=True))
    claimed = base.names if base else set()
    for name, blob in found.items():
        ours = blob is None or name in claimed or blob.crc32c == crc32c(paths[name]) or _is_of_a_load(session, name)
        if not ours:
            raise TaxiError(
                f"gs://{session.bucket.name}/{name} belongs to somebody else.",
                expected="no object of that name, or one that a load stored",
                found="an object that no manifest names and no load wrote",
                intact="that object, and every store",
                next_step="move it to another name; then run again",
            )
    return found


def _is_of_a_load(session: LakeSession, name: str) -> bool:
    """Whether a load wrote the object, before it could write its manifest: it has the platform's footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with session.bucket.blob(name).open("rb", retry=session.retry) as file:
        try:
            return METADATA_KEY in (pq.read_metadata(file).metadata or {})
        except pa.ArrowInvalid:
            return False


def lagging_copies(cloud: GoogleCloud, load: LakeLoad) -> list[str]:
    """The fixed names whose objects are not what the manifest names, or missing; the next load writes them."""
    with lake_session(cloud.at_bucket(load.bucket), "Looking at the copies of the lake") as session:
        blobs = side_by_side(lambda name: session.bucket.get_blob(name, retry=session.retry), load.copies)
    pairs = zip(load.copies.items(), blobs, strict=True)
    return [name for (name, source), blob in pairs if not load.contents[source].is_still(blob)]


def write_copies(session: LakeSession, load: LakeLoad, before: Mapping[str, Blob | None]) -> None:
    """Makes the copies of a month that are not the same already.

    Args:
        session: The bucket.
        load: The month, whose manifest is in place.
        before: The objects that had these names before the manifest was replaced.

    Raises:
        TransientError: Another program keeps changing one.
    """
    side_by_side(lambda name: _write_copy(session, load, name, before[name]), load.copies)


def _write_copy(session: LakeSession, load: LakeLoad, name: str, existing: Blob | None) -> None:
    from google.api_core.exceptions import NotFound, PreconditionFailed

    bucket, source = session.bucket, load.contents[load.copies[name]]
    for _ in range(ATTEMPTS):
        if source.is_still(existing):
            return
        generation = int(existing.generation) if existing else 0
        try:
            bucket.copy_blob(
                bucket.blob(source.name), bucket, name, if_generation_match=generation, retry=session.retry
            )
        except (NotFound, PreconditionFailed):
            existing = bucket.get_blob(name, retry=session.retry)
            current = read_current(session, load.entry.pipeline, load.month, load)
            if current != load:
                return  # a newer load makes the copy
        else:
            return
    raise TransientError(
        f"Another program keeps changing gs://{load.bucket}/{name}.",
        expected=f"a copy of {source.name}",
        intact="the month, as its manifest names it",
        next_step="find out which program it is; then run again",
    )
