"""Generations and preconditions of objects for the embedded Cloud Storage, as Google documents them.

The emulator ignores preconditions, gives back the newest version whichever was asked for, and takes the clock's time as
the generation, at the beginning of a resumable upload. Then two writers overwrite each other unseen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

_RESERVED = 60 * 10**9
"""Generations that are reserved in the file at a time, so that it is seldom written: nanoseconds of a minute."""
_CHANGES = {"insert", "upload_partial", "delete", "patch", "copy", "rewrite", "compose"}
_READS = {"get", "download"}

Handler = Callable[..., Any]


class Generations:
    """Rising numbers, also across restarts and when the clock is set back."""

    def __init__(self, file: Path, highest: int) -> None:
        self._file = file
        self._reserved = int(file.read_text()) if file.exists() else 0
        self._last = max(self._reserved, highest)

    def next(self) -> int:
        """A number above all that were given before."""
        self._last = max(self._last + 1, time.time_ns())
        if self._last >= self._reserved:
            self._reserved = self._last + _RESERVED
            temporary = self._file.with_suffix(".new")
            temporary.write_text(str(self._reserved))
            temporary.replace(self._file)
        return self._last


def honour(files: Any, folder: Path) -> None:
    """Patches the emulator: each change gets a new generation, and takes place only if its preconditions hold.

    Args:
        files: The emulator's storage.
        folder: The folder for the highest generation.
    """
    from gcp_storage_emulator import server  # type: ignore[import-untyped]

    found = [int(item["generation"]) for objects in files.objects.values() for item in objects.values()]
    generations, create = Generations(folder / "generation", max(found, default=0)), files.create_file

    def create_file(bucket: str, name: str, content: bytes, item: dict[str, Any], file_id: str | None = None) -> None:
        old, new = str(item["generation"]), str(generations.next())
        links = {key: item[key].replace(old, new) for key in ("id", "mediaLink") if item.get(key)}
        item.update(links, generation=new)
        create(bucket, name, content, item, file_id)

    files.create_file = create_file
    lock = threading.RLock()
    server.HANDLERS = tuple(
        (pattern, {method: _checked(handler, lock) for method, handler in methods.items()})
        for pattern, methods in server.HANDLERS
    )
    server.objects.insert = _checked(server.objects.insert, lock)  # for uploads to other addresses


def _checked(handler: Handler, lock: threading.RLock) -> Handler:
    """The handler, called only if the preconditions of its request hold."""
    kind = handler.__name__
    if handler.__module__ != "gcp_storage_emulator.handlers.objects" or kind not in _CHANGES | _READS:
        return handler

    def checked(request: Any, response: Any, files: Any, *args: Any, **options: Any) -> Any:
        sent = request.data if kind in _CHANGES else None  # read before the lock is taken: the sender may be slow
        with lock:
            refusal = _refusal(request, kind, sent, files)
            if refusal is None:
                return handler(request, response, files, *args, **options)
        response.status = refusal
        if refusal is not HTTPStatus.NOT_MODIFIED:
            response.json(_error(refusal))
        return None

    return checked


def _refusal(request: Any, kind: str, sent: Any, files: Any) -> HTTPStatus | None:
    """Why the request is refused; None: it is not."""
    query = {name: values[0] for name, values in request.query.items()}
    if "upload_id" in query and query["upload_id"] not in files.resumable:
        return None  # the handler refuses it
    bucket, name = _target(request, query, sent, files)
    item = files.objects.get(bucket, {}).get(name)
    exists_first = kind in _READS | {"delete", "patch"}
    if exists_first and (item is None or query.get("generation", item["generation"]) != item["generation"]):
        return HTTPStatus.NOT_FOUND
    if kind in ("copy", "rewrite"):
        source = files.objects.get(request.params["bucket_name"], {}).get(request.params["object_id"])
        if source is None or query.get("sourceGeneration", source["generation"]) != source["generation"]:
            return HTTPStatus.NOT_FOUND
        if not _holds(query, source, "ifSource"):
            return HTTPStatus.PRECONDITION_FAILED
    if _holds(query, item, "if"):
        return None
    changed = _holds({key: text for key, text in query.items() if "Not" not in key}, item, "if")
    return HTTPStatus.NOT_MODIFIED if kind in _READS and changed else HTTPStatus.PRECONDITION_FAILED


def _target(request: Any, query: Mapping[str, str], sent: Any, files: Any) -> tuple[str, str]:
    """Bucket and name of the object that the request reads or changes."""
    if upload := files.resumable.get(query.get("upload_id")):
        return upload["bucket"], upload["name"]
    parameters = request.params
    bucket = parameters.get("dest_bucket_name") or parameters["bucket_name"]
    name = parameters.get("dest_object_id") or parameters.get("object_id") or query.get("name")
    if name is None and isinstance(sent, dict):
        name = sent.get("meta", sent).get("name")
    return bucket, name or ""


def _holds(query: Mapping[str, str], item: Mapping[str, Any] | None, prefix: str) -> bool:
    """Whether the preconditions with that prefix hold; the generation of an object that does not exist is 0."""
    for part in ("generation", "metageneration"):
        current = str(item[part]) if item else "0"
        wanted, unwanted = (query.get(f"{prefix}{part.title()}{which}") for which in ("Match", "NotMatch"))
        if wanted not in (None, current) or unwanted == current:
            return False
    return True


def _error(status: HTTPStatus) -> dict[str, Any]:
    reason, text = "notFound", "No such object, or not in this version."
    if status is HTTPStatus.PRECONDITION_FAILED:
        reason, text = "conditionNotMet", "At least one of the pre-conditions you specified did not hold."
    error = {"domain": "global", "reason": reason, "message": text}
    return {"error": {"errors": [error], "code": status.value, "message": text}}
