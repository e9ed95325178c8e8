"""The download of a source's file: written, hashed and checked in one pass, resumed and retried.

The record of a complete file is `{file}.json` beside it, with the file's size and time of change. It is written before
the file moves into place, and keeps the record of the file before: at every moment one of the two is of the file that
is there, also where the process dies between the two writes. Where both disagree with the file (someone edited it),
the file is fetched again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout
from pydantic import BaseModel, TypeAdapter, ValidationError

from taxi_assets.files import private_folder, write_private
from taxi_assets.sources.content import Check, InvalidContent
from taxi_assets.sources.errors import SourceError, SourceUnavailable
from taxi_assets.sources.record import SourceFile
from taxi_assets.sources.retry import RetryPolicy, with_retries
from taxi_assets.sources.transport import CHUNK_BYTES, Resume, SourceResponse, Transport, Validators

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes on this machine and the size of the file; None: the source does not send it."""


@dataclass(frozen=True)
class Request:
    """A request for a file.

    Attributes:
        address: The file's address, with its credentials.
        url: The address without credentials.
        target: Where the file goes.
        check: Makes the check of its content.
        force: Whether to fetch the file even where its newest version is on this machine.
        progress: Called as the bytes arrive.
    """

    address: str
    url: str
    target: Path
    check: Callable[[], Check]
    force: bool = False
    progress: Progress | None = None


def fetch_file(transport: Transport, request: Request, retry_policy: RetryPolicy, *, synthetic: bool) -> SourceFile:
    """Fetches a file, unless its newest version is on this machine.

    Args:
        transport: Access to the source.
        request: The file.
        retry_policy: How often to try.
        synthetic: Whether the source has synthetic files only.

    Raises:
        NotFound: Nothing is published at the address.
        SourceUnavailable: No attempt succeeded. The partial file stays, for the next download.
        SourceError: The source refuses, its file is broken, or the file cannot be written. Nothing stays.
    """
    target = request.target
    try:
        private_folder(target.parent)
        with _exclusive_lock(target, retry_policy.lock_timeout):
            known = None if request.force else read_record(target)
            file, attempts = _download(transport, request, known, retry_policy)
            if file is known:
                return known.model_copy(update={"attempts": attempts})
            file = file.model_copy(update={"attempts": attempts, "synthetic": synthetic or file.synthetic})
            part = PartialFile(target)
            _write_record(file, part.path)
            part.move_to_target()
            return file
    except OSError as error:
        raise SourceError(
            "The file cannot be written on this machine.",
            found=error.strerror or str(error),
            where=str(target),
            next_step="make room there, or choose another place with TAXI_HOME",
        ) from None


def _download(
    transport: Transport, request: Request, known: SourceFile | None, retry_policy: RetryPolicy
) -> tuple[SourceFile, int]:
    """Downloads into the partial file, and resumes there after an interruption.

    Returns:
        The file, or `known` where that is the newest version; and the number of attempts.
    """
    part = PartialFile(request.target)

    def attempt() -> SourceFile:
        resume = part.resume()
        validators = known.validators if known and not (resume and resume.offset) else None
        with transport.open(request.address, known=validators, resume=resume) as response:
            if known and response.chunks is None:
                return known
            if not response.offset:
                part.begin(response.validators)
            return _receive(response, part, request)

    try:
        return with_retries(retry_policy, attempt)
    except SourceError:
        part.discard()
        raise


def _receive(response: SourceResponse, part: PartialFile, request: Request) -> SourceFile:
    """Writes and hashes the bytes as they arrive, and checks each chunk while the next one arrives."""
    check = request.check()
    digest = hashlib.sha256()
    checked: Future[None] | None = None
    try:
        with part.path.open("r+b" if response.offset else "wb") as file, ThreadPoolExecutor(1) as thread:
            for chunk in _chunks_before(file, response.offset):
                digest.update(chunk)
                check.feed(chunk)
            for chunk in response.chunks or ():
                file.write(chunk)
                digest.update(chunk)
                if checked:
                    checked.result()
                checked = thread.submit(check.feed, chunk)
                if request.progress:
                    request.progress(file.tell(), response.total)
            if checked:
                checked.result()
            size = file.tell()
            file.flush()
            os.fsync(file.fileno())
        if response.total is not None and size < response.total:
            raise SourceUnavailable(
                "The source does not deliver the file now.",
                expected=f"{response.total:,} bytes",
                found=f"{size:,} bytes: the connection was cut",
                where=request.url,
                next_step="try again later; the download resumes where it was cut",
            )
        check.finish(part.path)
    except InvalidContent as error:
        part.discard()
        raise _invalid(error, response, request.url) from None
    return SourceFile(
        path=request.target,
        url=request.url,
        bytes=size,
        sha256=digest.hexdigest(),
        etag=response.validators.etag,
        last_modified=response.validators.last_modified,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        synthetic=response.synthetic,
    )


def _chunks_before(file: BinaryIO, offset: int) -> Iterator[bytes]:
    while file.tell() < offset and (chunk := file.read(min(CHUNK_BYTES, offset - file.tell()))):
        yield chunk


def _invalid(error: InvalidContent, response: SourceResponse, url: str) -> SourceError | SourceUnavailable:
    """Transient where two versions were joined, or where bytes are missing and the source sent no size."""
    transient = response.offset > 0 or (response.total is None and error.truncated)
    return (SourceUnavailable if transient else SourceError)(
        "The source answered, but not with the file that belongs there.",
        expected=error.expected,
        found=error.found,
        where=url,
        next_step="look at the address; if the published file is broken, tell its publisher, or choose another source",
    )


_HOLD_ATTEMPTS = 20
_HOLD_SECONDS = 0.05


class PartialFile:
    """The file during its download, `{file}.part`, and its version, `{file}.part.json`."""

    _validators = TypeAdapter(Validators)

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._target = target
        self._version = target.with_name(f"{target.name}.part.json")

    def resume(self) -> Resume | None:
        """Where an earlier download stopped, and the version of the file."""
        try:
            validators = self._validators.validate_json(self._version.read_bytes())
            return Resume(self.path.stat().st_size, validators)
        except (FileNotFoundError, ValidationError):
            return None

    def begin(self, validators: Validators) -> None:
        """Starts a download of this version from its first byte."""
        self.discard()
        write_private(self._version, self._validators.dump_json(validators).decode())

    def discard(self) -> None:
        """Removes what arrived."""
        self._version.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def move_to_target(self) -> None:
        """Moves the complete file to its target, durably."""
        self.path.replace(self._target)
        self._version.unlink(missing_ok=True)
        folder = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _exclusive_lock(target: Path, timeout: float) -> Iterator[None]:
    """Lets one process at a time fetch a file.

    Raises:
        SourceUnavailable: Another process has held the lock for `timeout` seconds.
    """
    lock = FileLock(target.with_name(f"{target.name}.lock"), timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        raise SourceUnavailable(
            "Another process has been fetching the same file for long.",
            where=str(target),
            next_step="wait for it, or end it",
        ) from None
    try:
        yield
    finally:
        lock.release()


class _Sidecar(BaseModel):
    """The content of `{file}.json`: the file's record, its time of change, and the same of the file before."""

    record: SourceFile
    mtime_ns: int
    previous: _Sidecar | None = None

    def of(self, status: os.stat_result) -> SourceFile | None:
        """The record of the file with this size and time of change."""
        if (status.st_size, status.st_mtime_ns) == (self.record.bytes, self.mtime_ns):
            return self.record
        return self.previous.of(status) if self.previous else None


def sidecar(path: Path) -> Path:
    """The path of a file's record."""
    return path.with_name(f"{path.name}.json")


def _read_sidecar(path: Path) -> _Sidecar | None:
    try:
        return _Sidecar.model_validate_json(sidecar(path).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _write_record(record: SourceFile, complete: Path) -> None:
    """Writes the record of a complete file that is not in place yet."""
    target, previous = record.path, None
    if (known := _read_sidecar(target)) and target.exists() and (held := known.of(status := target.stat())):
        previous = _Sidecar(record=held, mtime_ns=status.st_mtime_ns)
    content = _Sidecar(record=record, mtime_ns=complete.stat().st_mtime_ns, previous=previous)
    write_private(sidecar(target), content.model_dump_json(indent=2, by_alias=True))


def read_record(path: Path, at: Path | None = None) -> SourceFile | None:
    """The record of a file; None where the file is missing or was changed since.

    Args:
        path: The file's place.
        at: Where the file is now, if it is a link to the file that was in that place.
    """
    try:
        status = (at or path).stat()
    except FileNotFoundError:
        return None
    content = _read_sidecar(path)
    record = content.of(status) if content else None
    return record.model_copy(update={"path": path}) if record else None


@contextmanager
def held_file(path: Path, folder: Path) -> Iterator[tuple[Path, SourceFile | None]]:
    """A file as it is now, also if it is replaced during the block, and the record of just these bytes.

    Args:
        path: The file.
        folder: An empty folder on the same disk.
    """
    link = folder / path.name
    for _ in range(_HOLD_ATTEMPTS):
        link.unlink(missing_ok=True)
        try:
            link.hardlink_to(path)
        except OSError:
            # It is missing, or the disk knows no links.
            yield path, read_record(path)
            return
        # The record may be of a version that came after the link: then that one is held.
        if record := read_record(path, link):
            break
        time.sleep(_HOLD_SECONDS)
    yield link, record
    link.unlink(missing_ok=True)
