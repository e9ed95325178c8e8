"""Files of any kind in the bucket: what people put into the watched folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import LakeFile
from taxi_assets.stores.lake.objects import put, remove
from taxi_assets.stores.lake.resource import lake_session

INTACT = "what the bucket had under that name, and its table"


def send_file(cloud: GoogleCloud, path: Path, name: str, rows: int = 0) -> None:
    """Replaces an object by a file of that many rows; not again where it is the same.

    Raises:
        TransientError: The service was lost, or another program changed the object at the same time.
        TaxiError: The bucket is missing or refuses.
    """
    with lake_session(cloud, f"Sending {path.name} to the bucket", f"gs://{cloud.bucket}/{name}", INTACT) as session:
        put(session, LakeFile(name, path, rows), session.bucket.get_blob(name, retry=session.retry))


def remove_file(cloud: GoogleCloud, name: str) -> None:
    """Removes an object; one that is missing is no error. Raises what `send_file` raises."""
    with lake_session(cloud, f"Removing {name} from the bucket", f"gs://{cloud.bucket}/{name}", INTACT) as session:
        blob = session.bucket.get_blob(name, retry=session.retry)
        if blob is not None:
            remove(session, [blob])


def fetch_file(cloud: GoogleCloud, name: str, path: Path) -> bool:
    """Writes an object to a file; False where it is missing. Raises what `send_file` raises."""
    from google.api_core.exceptions import NotFound

    where = f"gs://{cloud.bucket}/{name}"
    with lake_session(cloud, f"Reading {name} from the bucket", where, INTACT) as session, suppress(NotFound):
        session.bucket.blob(name).download_to_filename(str(path), retry=session.retry)
        return True
    return False
