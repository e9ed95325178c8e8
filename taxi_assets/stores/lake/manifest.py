"""The manifests of the lake: for each month an object that names the objects of the month, its file and its load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import Shape
from taxi_assets.stores.lake.objects import LakeObject, side_by_side
from taxi_assets.stores.lake.resource import LakeSession, lake_session
from taxi_assets.stores.month import LoadEntry
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from google.cloud.storage import Blob


@dataclass(frozen=True)
class LakeLoad:
    """A month in the lake: its manifest.

    Attributes:
        entry: From which file, how much, by whom, when.
        bucket: The bucket.
        shape: `month` or `date`.
        objects: The objects with the kept rows.
        rejected: The object with the rejected rows.
        earlier: Earlier loads, the newest first: when, run, checksum of the file, row count.
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
        return sum(item.bytes for item in self.objects)

    @property
    def uris(self) -> list[str]:
        """The addresses of the objects with the kept rows."""
        return [f"gs://{self.bucket}/{item.name}" for item in self.objects]

    def to_json(self) -> str:
        """The text of the manifest."""
        return json.dumps(asdict(self), default=str, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> LakeLoad:
        """Reads that text. Keys that this code does not know, of newer code, are left out."""
        manifest = json.loads(text)
        entry = _known(LoadEntry, manifest["entry"])
        entry["source_month"] = date.fromisoformat(entry["source_month"])
        entry["loaded_at"] = datetime.fromisoformat(entry["loaded_at"])
        return cls(
            entry=LoadEntry(**entry),
            bucket=manifest["bucket"],
            shape=manifest["shape"],
            objects=tuple(LakeObject(**_known(LakeObject, item)) for item in manifest["objects"]),
            rejected=LakeObject(**_known(LakeObject, manifest["rejected"])),
            earlier=tuple(manifest["earlier"]),
        )


def _known(kind: type[LoadEntry | LakeObject], values: Mapping[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def manifest_name(service: str, month: str) -> str:
    """The name of the object with the manifest of a month."""
    return f"_loads/{service}/{month}.json"


def read_generation(session: LakeSession, service: str, month: str) -> tuple[LakeLoad | None, int]:
    """The manifest of a month and its generation; None and 0 where there is none."""
    blob = session.bucket.get_blob(manifest_name(service, month), retry=session.retry)
    if blob is None:
        return None, 0
    return LakeLoad.from_json(_text(session, blob)), int(blob.generation)


def _text(session: LakeSession, blob: Blob) -> bytes:
    """The text of that version of a manifest.

    Requested by its name: the client would follow the link in the object's description, which names the address that an
    emulator had when the object was written.
    """
    version = session.bucket.blob(blob.name, generation=int(blob.generation))
    return bytes(version.download_as_bytes(retry=session.retry))


def read_manifest(cloud: GoogleCloud, service: str, month: date) -> LakeLoad | None:
    """The manifest of a month; None where it was never loaded."""
    with lake_session(cloud, f"Reading the lake's manifest of {service} {month_name(month)}") as session:
        manifest, _ = read_generation(session, service, month_name(month))
        if manifest is None:
            session.ensure_bucket()
        return manifest


def read_manifests(cloud: GoogleCloud, service: str) -> list[LakeLoad]:
    """The manifest of every month of a service, the oldest month first."""
    with lake_session(cloud, f"Reading the lake's manifests of {service}") as session:
        blobs = sorted(session.bucket.list_blobs(prefix=f"_loads/{service}/", retry=session.retry), key=str)
        texts = side_by_side(lambda blob: _text(session, blob), blobs)
    return sorted((LakeLoad.from_json(text) for text in texts), key=lambda load: load.entry.source_month)


def list_bucket(cloud: GoogleCloud) -> None:
    """Lists an object of the bucket: to see whether the bucket exists and may be read.

    Raises:
        TaxiError: It does not, or may not.
    """
    with lake_session(cloud, "Listing the bucket", intact="everything") as session:
        session.ensure_bucket()
        list(session.bucket.list_blobs(max_results=1, retry=session.retry))
