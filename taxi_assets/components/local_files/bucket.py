"""Files of any kind in the bucket: what people put into the watched folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from taxi_assets.stores.google.errors import clear_errors
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import LakeFile
from taxi_assets.stores.lake.objects import LakeObject, put, remove, retry

INTACT = "what the bucket had under that name, and its table"


def send_file(cloud: GoogleCloud, path: Path, name: str, rows: int = 0) -> LakeObject:
    """Puts a file into the bucket, in the place of what has that name there; not again where it is the same.

    Args:
        cloud: Where the bucket is.
        path: The file.
        name: The object's name.
        rows: Its rows, where it is a table.

    Raises:
        TransientError: The service was lost, or somebody changed the object at the same time.
        TaxiError: The bucket is missing or refuses.
    """
    with clear_errors(f"Sending {path.name} to the bucket", f"gs://{cloud.bucket}/{name}", INTACT):
        bucket = cloud.storage().bucket(cloud.bucket)
        there = bucket.get_blob(name, retry=retry(cloud.retry_seconds))
        return put(bucket, LakeFile(name, path, rows), there, cloud.retry_seconds)[0]


def remove_file(cloud: GoogleCloud, name: str) -> None:
    """Removes an object; one that is not there is no error. Raises what `send_file` raises."""
    with clear_errors(f"Removing {name} from the bucket", f"gs://{cloud.bucket}/{name}", INTACT):
        found = cloud.storage().bucket(cloud.bucket).get_blob(name, retry=retry(cloud.retry_seconds))
        if found is not None:
            remove([found], cloud.retry_seconds)


def fetch_file(cloud: GoogleCloud, name: str, path: Path) -> bool:
    """Writes an object to a file; False where it is not there. Raises what `send_file` raises."""
    from google.api_core.exceptions import NotFound

    with clear_errors(f"Reading {name} from the bucket", f"gs://{cloud.bucket}/{name}", INTACT), suppress(NotFound):
        blob = cloud.storage().bucket(cloud.bucket).blob(name)
        blob.download_to_filename(str(path), retry=retry(cloud.retry_seconds))
        return True
    return False
