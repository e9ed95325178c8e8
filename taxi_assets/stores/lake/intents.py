"""What a load is about to change in the lake, recorded before it changes anything: a killed load leaves no orphan.

Each attempt of a load has an intent, the object `_intents/{pipeline}/{month}/{attempt}.json`. It names the objects that
the load sends and those that it takes out of the manifest, and the version of the manifest that it replaces. Whoever
replaced the manifest since then has beaten it: the intent's objects are leftovers then, unless the manifest or a load
that is under way names them. Nothing else in the bucket is ever removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taxi_assets.stores.lake.manifest import LakeLoad, read_current
from taxi_assets.stores.lake.objects import month_objects, put_text, remove_leftovers, side_by_side
from taxi_assets.stores.lake.resource import LakeSession

if TYPE_CHECKING:
    from google.cloud.storage import Blob


@dataclass(frozen=True)
class Intent:
    """The intent of a load.

    Attributes:
        name: The name of its object.
        base: The version of the manifest that the load replaces; 0: there is none.
        names: The objects that it may leave behind.
        generation: The version of the intent.
    """

    name: str
    base: int
    names: frozenset[str]
    generation: int


def intents_folder(pipeline: str, month: str) -> str:
    """The folder of the intents of a month."""
    return f"_intents/{pipeline}/{month}/"


def record(
    session: LakeSession, name: str, base: LakeLoad | None, names: Iterable[str], before: Intent | None = None
) -> Intent:
    """Records the intent of a load.

    Args:
        session: The bucket.
        name: The name of the intent's object.
        base: The month as it is.
        names: The objects that the load will name.
        before: The intent of this load's last attempt, which another load may have removed since.
    """
    named = frozenset(names) | (base.names if base else set()) | (before.names if before else frozenset())
    generation = base.generation if base else 0
    text = json.dumps({"base": generation, "names": sorted(named)}, indent=1)
    return Intent(name, generation, named, put_text(session, name, text, 0))


def forget(session: LakeSession, *intents: Intent) -> None:
    """Removes intents that are over; one that is gone already is no error."""
    remove_leftovers(session, [session.bucket.blob(intent.name, generation=intent.generation) for intent in intents])


def read_intents(session: LakeSession, pipeline: str, month: str, own: Intent | None = None) -> list[Intent]:
    """The intents of all loads of a month that are under way or were killed; the own one is known."""
    blobs = session.bucket.list_blobs(prefix=intents_folder(pipeline, month), retry=session.retry)
    others = [blob for blob in blobs if own is None or blob.name != own.name]
    found = [intent for intent in side_by_side(lambda blob: _read(session, blob), others) if intent]
    return [*found, own] if own else found


def _read(session: LakeSession, blob: Blob | None) -> Intent | None:
    from google.api_core.exceptions import NotFound

    while blob:
        version = session.bucket.blob(blob.name, generation=int(blob.generation))
        with suppress(NotFound):
            parts = json.loads(version.download_as_bytes(retry=session.retry))
            return Intent(blob.name, int(parts["base"]), frozenset(parts["names"]), int(blob.generation))
        blob = session.bucket.get_blob(blob.name, retry=session.retry)
    return None


@dataclass(frozen=True)
class Swept:
    """The month after a sweep.

    Attributes:
        listed: The objects of the month before it, by name.
        removed: How many were removed.
        current: The manifest; None: somebody removed it.
    """

    listed: Mapping[str, Blob]
    removed: int
    current: LakeLoad | None


def sweep(session: LakeSession, pipeline: str, month: str, own: Intent, load: LakeLoad | None = None) -> Swept:
    """Removes what beaten loads left, and the intent of a load that ends.

    The order matters. Objects are listed before intents are read, and intents before the manifest: a load that begins
    again records its new base first and sends its objects again, in versions that are not on the list.

    Args:
        session: The bucket.
        pipeline: The name of the pipeline.
        month: `2021-01`.
        own: The intent of the load that ends.
        load: The manifest that it wrote.
    """
    listed = month_objects(session, pipeline, month)
    intents = read_intents(session, pipeline, month, own)
    current = read_current(session, pipeline, month, load)
    if current is None:  # nothing says what is a leftover
        return Swept(listed, 0, None)
    beaten = [intent for intent in intents if intent.base < current.generation]
    kept = current.names.union(*(intent.names for intent in intents if intent not in beaten))
    left = frozenset[str]().union(*(intent.names for intent in beaten)) - kept
    removed = remove_leftovers(session, [blob for name, blob in listed.items() if name in left])
    # A load with the same base may be sending still, without knowing that it is beaten: the next load looks once more.
    over = [intent for intent in beaten if intent.name == own.name or intent.base < own.base]
    forget(session, *over)
    return Swept(listed, removed, current)
