"""The lake's log: for each month an object that says which objects are the month, from which file, by whom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError
from taxi_assets.stores.google.errors import clear_errors
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import Shape
from taxi_assets.stores.lake.objects import LakeObject, retry, side_by_side
from taxi_assets.stores.month import LoadEntry
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket


@dataclass(frozen=True)
class LakeLoad:
    """A month in the lake, as its log says.

    Attributes:
        entry: From which file, how much, by whom, when.
        bucket: The bucket.
        shape: `month` or `date`.
        objects: The objects with the kept rows.
        rejected: The object with the rejected rows.
        earlier: What the log said of earlier loads, the newest first: when, run, checksum of the file, rows.
    """

    entry: LoadEntry
    bucket: str
    shape: Shape
    objects: tuple[LakeObject, ...]
    rejected: LakeObject
    earlier: tuple[Mapping[str, Any], ...] = ()

    @property
    def month(self) -> str:
        """`2021-01`."""
        return month_name(self.entry.source_month)

    @property
    def size(self) -> int:
        """The size of the kept rows' objects together."""
        return sum(found.bytes for found in self.objects)

    @property
    def uris(self) -> list[str]:
        """The addresses of the objects with the kept rows."""
        return [f"gs://{self.bucket}/{found.name}" for found in self.objects]

    def to_json(self) -> str:
        """The text of the log object."""
        return json.dumps(asdict(self), default=str, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> LakeLoad:
        """Reads that text."""
        found = json.loads(text)
        entry = found["entry"]
        entry["source_month"] = date.fromisoformat(entry["source_month"])
        entry["loaded_at"] = datetime.fromisoformat(entry["loaded_at"])
        return cls(
            entry=LoadEntry(**entry),
            bucket=found["bucket"],
            shape=found["shape"],
            objects=tuple(LakeObject(**item) for item in found["objects"]),
            rejected=LakeObject(**found["rejected"]),
            earlier=tuple(found["earlier"]),
        )


def log_name(service: str, month: str) -> str:
    """The name of the log object of a month."""
    return f"_loads/{service}/{month}.json"


def read_log(bucket: Bucket, service: str, month: str, retry_seconds: float) -> tuple[LakeLoad | None, int]:
    """What the log says of a month, and the log's generation; None and 0 where there is none."""
    blob = bucket.get_blob(log_name(service, month), retry=retry(retry_seconds))
    if blob is None:
        return None, 0
    return LakeLoad.from_json(_text(blob, retry_seconds)), int(blob.generation)


def _text(blob: Blob, retry_seconds: float) -> bytes:
    """The text of that version of a log object.

    Asked by its name: the client would follow the link in the object's description, which names the address that an
    emulator had when the object was written.
    """
    found = blob.bucket.blob(blob.name, generation=int(blob.generation))
    return bytes(found.download_as_bytes(retry=retry(retry_seconds)))


def lake_load(cloud: GoogleCloud, service: str, month: date) -> LakeLoad | None:
    """What the log says of a month; None where it was never loaded."""
    with clear_errors(f"Reading the lake's log of {service} {month_name(month)}", f"gs://{cloud.bucket}"):
        bucket = cloud.storage().bucket(cloud.bucket)
        found, _ = read_log(bucket, service, month_name(month), cloud.retry_seconds)
        if found is None and not bucket.exists(retry=retry(cloud.retry_seconds)):
            raise _no_bucket(cloud)
        return found


def lake_loads(cloud: GoogleCloud, service: str) -> list[LakeLoad]:
    """What the log says of every month of a service, the oldest month first."""
    with clear_errors(f"Reading the lake's log of {service}", f"gs://{cloud.bucket}"):
        bucket = cloud.storage().bucket(cloud.bucket)
        blobs = sorted(bucket.list_blobs(prefix=f"_loads/{service}/", retry=retry(cloud.retry_seconds)), key=str)
        texts = side_by_side(lambda blob: _text(blob, cloud.retry_seconds), blobs)
    return sorted((LakeLoad.from_json(text) for text in texts), key=lambda load: load.entry.source_month)


def list_bucket(cloud: GoogleCloud) -> None:
    """Lists an object of the bucket: to see whether it is there and may be read.

    Raises:
        TaxiError: It is not, or may not.
    """
    with clear_errors("Listing the bucket", f"gs://{cloud.bucket}", intact="everything"):
        bucket = cloud.storage().bucket(cloud.bucket)
        if not bucket.exists(retry=retry(cloud.retry_seconds)):
            raise _no_bucket(cloud)
        list(bucket.list_blobs(max_results=1, retry=retry(cloud.retry_seconds)))


def _no_bucket(cloud: GoogleCloud) -> TaxiError:
    return TaxiError(
        f"There is no bucket {cloud.bucket}.",
        expected=f"the bucket that GCS_BUCKET names, at {cloud}",
        found="404 from Cloud Storage",
        intact="every store",
        next_step=f"make it (gcloud storage buckets create gs://{cloud.bucket}), or correct GCS_BUCKET",
    )
