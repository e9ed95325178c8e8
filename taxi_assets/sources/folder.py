"""A source that is a folder: `file://` addresses.

Files are copied, never linked: the folder may be read-only, on another disk, and changed by others at any time. A file
that changes while it is copied is copied again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import BinaryIO

from taxi_assets.sources.addresses import file_path, shown
from taxi_assets.sources.errors import INTACT, NotFound, SourceError, SourceUnavailable
from taxi_assets.sources.record import Validators
from taxi_assets.sources.transport import CHUNK_BYTES, Answer, Resume


class FileTransport:
    """Reads from folders of this machine."""

    @contextmanager
    def open(self, address: str, *, known: Validators | None, resume: Resume | None) -> Iterator[Answer]:
        """As `Transport.open`."""
        with _opened(address) as file:
            found = os.fstat(file.fileno())
            validators = _validators(found)
            if known == validators:
                yield Answer(validators, found.st_size, 0, None)
                return
            offset = resume.offset if resume and resume.validators == validators else 0
            file.seek(offset)
            yield Answer(validators, found.st_size, offset, _chunks(file, address, validators))

    def look(self, address: str, *, known: Validators | None = None) -> Answer:
        """As `Transport.look`."""
        with _opened(address) as file:
            found = os.fstat(file.fileno())
        return Answer(_validators(found), found.st_size, 0, None)


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
    """Demands that a source's folder is there, so that a wrong address is not taken for unpublished months.

    Raises:
        TaxiError: It is not there, or the address is malformed.
    """
    folder = file_path(base)
    if not folder.is_dir():
        raise SourceError(
            "The source's folder is not there.",
            expected="a folder with files like yellow/yellow_tripdata_2021-01.csv.gz",
            where=str(folder),
            intact=INTACT,
            next_step="correct TAXI_SOURCE_URL",
        )


def _validators(found: os.stat_result) -> Validators:
    return Validators(f'"{found.st_mtime_ns:x}-{found.st_size:x}"', formatdate(found.st_mtime, usegmt=True))


def _chunks(file: BinaryIO, address: str, begun: Validators) -> Iterator[bytes]:
    """The bytes of one version: whether it is still that one is asked after each read, before its bytes are used."""
    while True:
        try:
            chunk = file.read(CHUNK_BYTES)
        except OSError as error:
            raise _unreadable(error, address) from None
        if _validators(os.fstat(file.fileno())) != begun:
            raise SourceUnavailable(
                "A file of the source changed while it was copied.",
                where=shown(address),
                intact=INTACT,
                next_step="try again when it is complete",
            )
        if not chunk:
            return
        yield chunk


def _unreadable(error: OSError, address: str) -> SourceError:
    return SourceError(
        "A file of the source cannot be read.",
        found=error.strerror,
        where=shown(address),
        intact=INTACT,
        next_step="make it a file that this user may read",
    )


def is_file(address: str) -> bool:
    """Whether an address means a file of this machine."""
    return address.startswith("file://")
