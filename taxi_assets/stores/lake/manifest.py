"""The manifests of the lake: for each month an object that names the objects of the month, its file and its load."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.files import Shape
from taxi_assets.stores.lake.objects import LakeObject, side_by_side
from taxi_assets.stores.lake.resource import LakeSession, lake_session
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.record import TOKEN_KEY
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from google.cloud.storage import Blob


_FOLDER = "_loads"
_MONTH = re.compile(r"\d{4}-\d{2}\.json")
_ENTRY_FIELDS = {item.name for item in fields(LoadEntry)}


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
        copies: Fixed names, each with the object that it is a copy of. They are written after the manifest.
        load_id: What tells this load from any other.
        generation: The manifest's own version, which rises with each load of the month; 0: it is not written yet.
    """

    entry: LoadEntry
    bucket: str
    shape: Shape
    objects: tuple[LakeObject, ...]
    rejected: LakeObject
    earlier: tuple[Mapping[str, Any], ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    load_id: str = ""
    generation: int = 0

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

    @property
    def contents(self) -> dict[str, LakeObject]:
        """The objects with kept and with rejected rows, by name."""
        return {item.name: item for item in (*self.objects, self.rejected)}

    @property
    def names(self) -> set[str]:
        """The names of all objects of the month, copies included."""
        return {*self.contents, *self.copies}

    @property
    def logged_entry(self) -> LoadEntry:
        """The entry for the load log, with `token`, by which the newest load of a month is found."""
        configuration = {**self.entry.configuration, TOKEN_KEY: self.generation}
        return replace(self.entry, configuration=configuration)

    def to_json(self) -> str:
        """The text of the manifest."""
        parts = asdict(self)
        del parts["generation"]
        return json.dumps(parts, default=str, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, generation: int = 0) -> LakeLoad:
        """Reads that text, and those of earlier versions, which named no copies; what it does not know is left out."""
        parts = json.loads(text)
        entry = {name: value for name, value in parts["entry"].items() if name in _ENTRY_FIELDS}
        entry["source_month"] = date.fromisoformat(entry["source_month"])
        entry["loaded_at"] = datetime.fromisoformat(entry["loaded_at"])
        return cls(
            entry=LoadEntry(**entry),
            bucket=parts["bucket"],
            shape=parts["shape"],
            objects=tuple(LakeObject.of(item) for item in parts["objects"]),
            rejected=LakeObject.of(parts["rejected"]),
            earlier=tuple(parts["earlier"]),
            copies=parts.get("copies", {}),
            load_id=parts.get("load_id", ""),
            generation=generation,
        )


def manifest_name(pipeline: str, month: str) -> str:
    """The name of the object with the manifest of a month."""
    return f"{_FOLDER}/{pipeline}/{month}.json"


def read_current(session: LakeSession, pipeline: str, month: str, known: LakeLoad | None = None) -> LakeLoad | None:
    """The manifest of a month; None where there is none. One that is known already is not read again."""
    blob = session.bucket.get_blob(manifest_name(pipeline, month), retry=session.retry)
    return known if known and blob and known.generation == int(blob.generation) else _read(session, blob)


def _read(session: LakeSession, blob: Blob | None) -> LakeLoad | None:
    from google.api_core.exceptions import NotFound

    while blob:
        with suppress(NotFound):
            return parse(_text(session, blob), int(blob.generation), f"gs://{session.bucket.name}/{blob.name}")
        blob = session.bucket.get_blob(blob.name, retry=session.retry)  # it was replaced just now
    return None


def parse(text: bytes, generation: int, uri: str) -> LakeLoad:
    """Reads the text of a manifest, of that version of the object at that address.

    Raises:
        TaxiError: It is no manifest.
    """
    try:
        return LakeLoad.from_json(text, generation)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaxiError(
            "A manifest of the lake cannot be read.",
            expected="the JSON that a load wrote",
            found=f"{type(error).__name__}: {error}",
            where=uri,
            intact="the objects of the month, PostgreSQL and BigQuery",
            next_step="restore that object, or move it away and load the month again: taxi run … --force",
        ) from error


def _text(session: LakeSession, blob: Blob) -> bytes:
    """The text of that version of a manifest.

    Requested by its name: the client would follow the link in the object's description, which names the address that an
    emulator had when the object was written.
    """
    version = session.bucket.blob(blob.name, generation=int(blob.generation))
    return bytes(version.download_as_bytes(retry=session.retry))


def read_manifest(cloud: GoogleCloud, pipeline: str, month: date) -> LakeLoad | None:
    """The manifest of a month; None where it was never loaded."""
    with lake_session(cloud, f"Reading the lake's manifest of {pipeline} {month_name(month)}") as session:
        manifest = read_current(session, pipeline, month_name(month))
        if manifest is None:
            session.ensure_bucket()
        return manifest


def read_manifests(cloud: GoogleCloud, pipeline: str) -> list[LakeLoad]:
    """The manifest of every month of a pipeline, the oldest month first."""
    with lake_session(cloud, f"Reading the lake's manifests of {pipeline}") as session:
        folder = f"{_FOLDER}/{pipeline}/"
        listed = session.bucket.list_blobs(prefix=folder, retry=session.retry)
        blobs = [blob for blob in listed if _MONTH.fullmatch(blob.name.removeprefix(folder))]
        loads = side_by_side(lambda blob: _read(session, blob), blobs)
    return sorted((load for load in loads if load), key=lambda load: load.entry.source_month)


def list_bucket(cloud: GoogleCloud) -> None:
    """Lists an object of the bucket: to see whether the bucket exists and may be read.

    Raises:
        TaxiError: It does not, or may not.
    """
    with lake_session(cloud, "Listing the bucket", intact="everything") as session:
        session.ensure_bucket()
        list(session.bucket.list_blobs(max_results=1, retry=session.retry))
