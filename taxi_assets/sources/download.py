"""The bytes of a file, from a source into a part file: written, hashed and checked in one pass, and tried again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from taxi_assets.files import write_private
from taxi_assets.sources.addresses import shown
from taxi_assets.sources.content import Check, InvalidContent
from taxi_assets.sources.errors import INTACT, SourceError, SourceUnavailable
from taxi_assets.sources.record import SourceFile, Validators, keep, kept
from taxi_assets.sources.retry import RetryPolicy, with_retries
from taxi_assets.sources.transport import CHUNK_BYTES, Answer, Resume, Transport

Progress = Callable[[int, int | None], None]
"""Told the bytes that are here and the bytes of the whole file, where the source says them."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        address: The file's address, with its credentials.
        target: Where it goes.
        check: Makes the check of its content.
        force: Fetch it even though the newest version is here.
        progress: Told of the bytes as they come.
    """

    address: str
    target: Path
    check: Callable[[], Check]
    force: bool = False
    progress: Progress | None = None


@dataclass(frozen=True)
class Downloaded:
    """A file that is whole and checked, and stands in its part file.

    Attributes:
        bytes: Its size.
        sha256: Its SHA-256, in hexadecimal digits.
        validators: What the source recognises this version by.
        sample: Whether the source says that it is made up.
    """

    bytes: int
    sha256: str
    validators: Validators
    sample: bool


def download(
    transport: Transport, request: Request, known: Validators | None, retry_policy: RetryPolicy
) -> tuple[Downloaded | None, int]:
    """Brings a file into its part file, going on where an earlier attempt broke off.

    Args:
        transport: The way to the source.
        request: What is asked for.
        known: The version that is here already: it is not sent again.
        retry_policy: How often to try.

    Returns:
        The file, None where the known version is the newest; and how many attempts it took.

    Raises:
        NotFound: Nothing is published at the address.
        SourceUnavailable: The source did not deliver, in any attempt. The part stays, for the next download.
        SourceError: The source refuses, or its file is broken. Nothing stays.
    """
    part = Part(request.target)

    def once() -> Downloaded | None:
        resume = part.resume()
        asked = None if resume and resume.offset else known
        with transport.open(request.address, known=asked, resume=resume) as answer:
            if answer.chunks is None:
                return None
            if not answer.offset:
                part.begin(answer.validators)
            return _receive(answer, part, request)

    try:
        return with_retries(retry_policy, once)
    except SourceError:
        part.discard()
        raise


def _receive(answer: Answer, part: Part, request: Request) -> Downloaded:
    """Writes and hashes the bytes as they come, and checks each chunk while the next one comes."""
    check = request.check()
    digest = hashlib.sha256()
    checked: Future[None] | None = None
    try:
        with part.path.open("r+b" if answer.offset else "wb") as file, ThreadPoolExecutor(1) as thread:
            for chunk in _written_before(file, answer.offset):
                digest.update(chunk)
                check.feed(chunk)
            for chunk in answer.chunks or ():
                file.write(chunk)
                digest.update(chunk)
                if checked:
                    checked.result()
                checked = thread.submit(check.feed, chunk)
                if request.progress:
                    request.progress(file.tell(), answer.total)
            if checked:
                checked.result()
            size = file.tell()
            file.flush()
            os.fsync(file.fileno())
        if answer.total is not None and size < answer.total:
            raise _cut(request.address, size, answer.total)
        check.finish(part.path)
    except InvalidContent as error:
        part.discard()
        raise _bad(error, answer, request.address) from None
    return Downloaded(size, digest.hexdigest(), answer.validators, answer.sample)


def _written_before(file: BinaryIO, offset: int) -> Iterator[bytes]:
    while file.tell() < offset and (chunk := file.read(min(CHUNK_BYTES, offset - file.tell()))):
        yield chunk


def _cut(address: str, size: int, total: int) -> SourceUnavailable:
    return SourceUnavailable(
        "The source does not deliver the file now.",
        expected=f"{total:,} bytes",
        found=f"{size:,} bytes: the connection was cut",
        where=shown(address),
        intact=INTACT,
        next_step="try again later; the download goes on where it broke off",
    )


def _bad(error: InvalidContent, answer: Answer, address: str) -> SourceError | SourceUnavailable:
    """Passing where parts of two downloads were put together, or the source did not say how long the file is."""
    passing = answer.offset > 0 or (answer.total is None and not error.whole)
    kind = SourceUnavailable if passing else SourceError
    return kind(
        "The source answered, but not with the file that belongs there.",
        expected=error.expected,
        found=error.found,
        where=shown(address),
        intact=INTACT,
        next_step="look at the address; if the published file is broken, tell its publisher, or choose another source",
    )


_VERSION = TypeAdapter(Validators)


class Part:
    """The file while it comes in."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._version = target.with_name(f"{target.name}.part.json")

    def resume(self) -> Resume | None:
        """Where an earlier download broke off, and in which version of the file."""
        try:
            validators = _VERSION.validate_json(self._version.read_bytes())
            return Resume(self.path.stat().st_size, validators)
        except (FileNotFoundError, ValidationError):
            return None

    def begin(self, validators: Validators) -> None:
        """Starts over, with this version of the file."""
        self.discard()
        write_private(self._version, _VERSION.dump_json(validators).decode())

    def discard(self) -> None:
        """Forgets what came in."""
        self._version.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def place(self, target: Path) -> None:
        """Puts the file where it belongs: at once, and lasting."""
        self.path.replace(target)
        self._version.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def alone(target: Path, seconds: float) -> Iterator[None]:
    """Keeps other processes from fetching the same file meanwhile.

    Raises:
        SourceUnavailable: Another one has been at it for longer than that many seconds.
    """
    lock = FileLock(target.with_name(f"{target.name}.lock"), timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise SourceUnavailable(
            "Another process has been fetching the same file for long.",
            where=str(target),
            intact=INTACT,
            next_step="wait for it, or end it",
        ) from None
    try:
        yield
    finally:
        lock.release()


def fetch_file(transport: Transport, request: Request, retry_policy: RetryPolicy, *, sample: bool) -> SourceFile:
    """Fetches a file, unless the newest version is here already.

    Raises:
        SourceError: Besides what `download` raises: the file cannot be written here.
    """
    target = request.target
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(target, retry_policy.lock_timeout):
            here = None if request.force else kept(target)
            known = here.validators if here else None
            new, attempts = download(transport, request, known, retry_policy)
            if new is None:
                return replace(cast(SourceFile, here), attempts=attempts)
            record = _record(request, new, attempts, sample or new.sample)
            Part(target).place(target)
            keep(record)
            return record
    except OSError as error:
        raise _unwritable(error, target) from None


def _record(request: Request, new: Downloaded, attempts: int, sample: bool) -> SourceFile:
    return SourceFile(
        path=request.target,
        url=shown(request.address),
        bytes=new.bytes,
        sha256=new.sha256,
        etag=new.validators.etag,
        last_modified=new.validators.last_modified,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sample=sample,
        attempts=attempts,
    )


def _unwritable(error: OSError, path: Path) -> SourceError:
    return SourceError(
        "The file cannot be written on this machine.",
        found=error.strerror or str(error),
        where=str(path),
        intact=INTACT,
        next_step="make room there, or choose another place with TAXI_HOME",
    )
