"""What the lake says of months, by a quick look: manifests, and whether the objects that they name are there.

It imports no client of Google: see `stores/google/rest.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.rest import JsonApi, storage_api
from taxi_assets.stores.lake.manifest import LakeLoad, manifest_name, parse
from taxi_assets.stores.lake.objects import LakeObject, month_globs, side_by_side
from taxi_assets.stores.lake.resource import no_bucket
from taxi_assets.stores.record import StoreRecord
from taxi_assets.trips.months import month_name


@dataclass(frozen=True)
class Description:
    """What the bucket says of an object.

    Attributes:
        size: Its size.
        crc32c: Its checksum, as Cloud Storage writes it.
    """

    size: int
    crc32c: str

    @classmethod
    def of(cls, item: dict[str, Any]) -> Description:
        """Reads the API's description."""
        return cls(int(item["size"]), str(item.get("crc32c")))


def read_records(cloud: GoogleCloud, pipeline: str, months: Collection[date]) -> dict[date, StoreRecord]:
    """The months that have a manifest, and whether the bucket has the versions of the objects that it names.

    Lists and describes the objects, and reads none.

    Raises:
        TransientError: The service was lost.
        TaxiError: It refuses, or there is no bucket.
    """
    with storage_api(cloud, f"Looking at {pipeline} in the lake") as api:
        loads = side_by_side(lambda month: _manifest(api, pipeline, month_name(month)), sorted(months))
        if None in loads and api.get(_bucket(cloud.bucket)) is None:
            raise no_bucket(cloud)
        records = side_by_side(lambda load: StoreRecord(load.logged_entry, _lost(api, load)), filter(None, loads))
    return {record.entry.source_month: record for record in records}


def _manifest(api: JsonApi, pipeline: str, month: str) -> LakeLoad | None:
    bucket, name = api.cloud.bucket, manifest_name(pipeline, month)
    while described := api.get(_object(bucket, name)):
        generation = int(described["generation"])
        text = api.content(f"/download{_object(bucket, name)}", alt="media", generation=generation)
        if text is not None:
            return parse(text, generation, f"gs://{bucket}/{name}")
        # It was replaced just now.
    return None


def _lost(api: JsonApi, load: LakeLoad) -> str:
    """What the bucket lacks of a load, in words."""
    there = dict(_listed(api, load))

    def is_still(named: tuple[str, LakeObject]) -> tuple[str, LakeObject, Description | None]:
        name, item = named
        return name, item, there.get(name) or _described(api, load.bucket, name)

    objects = side_by_side(is_still, load.contents.items())
    copies = side_by_side(is_still, ((name, load.contents[source]) for name, source in load.copies.items()))
    wrong = [f"{name} is {'changed' if found else 'gone'}" for name, item, found in objects if not item.is_still(found)]
    lagging = [f"{name} is not the month" for name, item, found in copies if not item.is_still(found)]
    return "; ".join(filter(None, ["; ".join(wrong[:5]), ", ".join(lagging)]))


def _listed(api: JsonApi, load: LakeLoad) -> Iterator[tuple[str, Description]]:
    for glob in month_globs(load.entry.pipeline, load.month):
        token, more = None, True
        while more:
            page = api.get(f"{_bucket(load.bucket)}/o", matchGlob=glob, pageToken=token) or {}
            yield from ((item["name"], Description.of(item)) for item in page.get("items", []))
            token = page.get("nextPageToken")
            more = bool(token)


def _described(api: JsonApi, bucket: str, name: str) -> Description | None:
    item = api.get(_object(bucket, name))
    return Description.of(item) if item else None


def _bucket(name: str) -> str:
    return f"/storage/v1/b/{quote(name, safe='')}"


def _object(bucket: str, name: str) -> str:
    return f"{_bucket(bucket)}/o/{quote(name, safe='')}"
