"""Addresses of a source: joined with a path, redacted, resolved to a folder.

An address may carry credentials (`https://user:password@host`, `?token=…`). They go only to the server.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from taxi_assets.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def join(base: str, path: str) -> str:
    """The address of a path below a base; a query of the base stays at the end."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}"))


def redacted(address: str) -> str:
    """The address without user, password, query and fragment."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def host(address: str) -> str:
    """The host's name, in lower case; empty for a file."""
    return urlsplit(address).hostname or ""


def folder_name(address: str) -> str:
    """The name of the folder for a source's files: readable, and different for every address.

    It does not depend on the password, so that a new password keeps the files.
    """
    parts = urlsplit(address)
    user, _, _ = parts.netloc.rpartition("@")[0].partition(":")
    known = urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", f"{parts.scheme}-{host(address)}{parts.path}").strip("-")[:60]
    return f"{readable}-{hashlib.sha256(known.encode()).hexdigest()[:8]}"


def is_file(address: str) -> bool:
    """Whether an address is a file of this machine."""
    return address.startswith("file://")


def file_path(address: str) -> Path:
    """The path of a `file://` address.

    Raises:
        TaxiError: It names a host, like `file://data/trips`.
    """
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(
            "A file address must hold an absolute path.",
            expected="file:///folder, with three slashes",
            found=f"file://{parts.netloc}/…, which names a host",
            next_step=f"write file:// and the folder's absolute path, like file://{Path.cwd().resolve()}",
        )
    return Path(unquote(parts.path))
