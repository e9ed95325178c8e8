"""A source that is a folder: `file://` addresses.

Files are copied, never linked: the folder may be read-only, on another disk, and changed by others at any time. A file
that changes during its copy is copied again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from email.utils import formatdate
from typing import BinaryIO, Self

from taxi_assets.sources.addresses import file_path, is_file, redacted
from taxi_assets.sources.errors import CORRECT, NotFound, SourceError, SourceUnavailable
from taxi_assets.sources.transport import CHUNK_BYTES, Resume, SourceResponse, Validators
from taxi_assets.trips.months import month_name


class FileTransport:
    """Reads from folders of this machine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Has no connections to close."""

    @contextmanager
    def open(self, address: str, *, known: Validators | None, resume: Resume | None) -> Iterator[SourceResponse]:
        """As `Transport.open`."""
        with _opened(address) as file:
            status = os.fstat(file.fileno())
            validators = _validators(status)
            if known == validators:
                yield SourceResponse(validators, status.st_size, 0, None)
                return
            offset = resume.offset if resume and resume.validators == validators else 0
            file.seek(offset)
            yield SourceResponse(validators, status.st_size, offset, _chunks(file, address, validators))

    def head(self, address: str, *, known: Validators | None = None) -> SourceResponse:
        """As `Transport.head`."""
        with _opened(address) as file:
            status = os.fstat(file.fileno())
        return SourceResponse(_validators(status), status.st_size, 0, None)


@contextmanager
def _opened(address: str) -> Iterator[BinaryIO]:
    path = file_path(address)
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"There is no file {path}.") from None
    except OSError as error:
        raise _unreadable(error, address) from None
    with file:
        yield file


def require_folder(base: str) -> None:
    """Requires that a source's folder exists, so that a wrong address does not look like unpublished months.

    Raises:
        TaxiError: It does not exist, or the address is malformed.
    """
    folder = file_path(base)
    if not folder.is_dir():
        raise SourceError(
            "The source's folder is not there.",
            expected="a folder with files like yellow/yellow_tripdata_2021-01.csv.gz",
            where=str(folder),
            next_step=CORRECT,
        )


def newest_file(addresses: Sequence[str], service: str, after: date) -> str | None:
    """The name of the newest file of a service in the folders of these addresses.

    Args:
        addresses: The addresses of a month's file.
        service: The service.
        after: A month.

    Returns:
        The name; None where no folder has a file of a month after that one, or the addresses are no files.
    """
    folders = [file_path(address).parent for address in addresses if is_file(address)]
    names = [file.name for folder in folders if folder.is_dir() for file in folder.iterdir()]
    prefix = f"{service}_tripdata_"
    months = {name.removeprefix(prefix)[:7]: name for name in names if name.startswith(prefix)}
    newest = max(months, default="")
    return months[newest] if newest > month_name(after) else None


def _validators(status: os.stat_result) -> Validators:
    return Validators(f'"{status.st_mtime_ns:x}-{status.st_size:x}"', formatdate(status.st_mtime, usegmt=True))


def _chunks(file: BinaryIO, address: str, expected: Validators) -> Iterator[bytes]:
    """The bytes of one version of a file; compares the version after each read, before its bytes are used."""
    while True:
        try:
            chunk = file.read(CHUNK_BYTES)
        except OSError as error:
            raise _unreadable(error, address) from None
        if _validators(os.fstat(file.fileno())) != expected:
            raise SourceUnavailable(
                "A file of the source changed while it was copied.",
                where=redacted(address),
                next_step="try again when it is complete",
            )
        if not chunk:
            return
        yield chunk


def _unreadable(error: OSError, address: str) -> SourceError:
    return SourceError(
        "A file of the source cannot be read.",
        found=error.strerror,
        where=redacted(address),
        next_step="make it a file that this user may read",
    )
