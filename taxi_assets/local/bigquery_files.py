"""The files that the embedded BigQuery may read: the objects of the embedded Cloud Storage, and uploads to itself.

DuckDB reads every file of the user that it runs as, and writes them. `confine` takes that away: what remains is its own
database, and `ReadOnlyFiles`, which has no way to write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from fsspec import AbstractFileSystem

if TYPE_CHECKING:
    import duckdb

PROTOCOL = "taxi-files"
OBJECTS, UPLOADS = "objects", "uploads"

# What BigQuery's statements become. DuckDB's others write files, load extensions or change the configuration.
_STATEMENTS = {
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE_INTO",
    "CREATE",
    "DROP",
    "ALTER",
    "TRANSACTION",
    "EXPLAIN",
}
_LOAD = re.compile(r'COPY ("[^"]*"\.?)+ FROM \? \(FORMAT (CSV, HEADER|JSON)\)')


class ReadOnlyFiles(AbstractFileSystem):  # type: ignore[misc]
    """Files below a few folders, as `taxi-files://{name of the folder}/{path}`.

    Args:
        folders: Name → folder.
    """

    protocol = PROTOCOL
    cachable = False

    def __init__(self, folders: Mapping[str, Path]) -> None:
        super().__init__()
        self._folders = {name: folder.resolve() for name, folder in folders.items()}

    def _file(self, path: str) -> Path:
        name, _, rest = str(self._strip_protocol(path)).lstrip("/").partition("/")
        folder = self._folders.get(name)
        file = folder and (folder / rest).resolve()
        if not folder or not file or not file.is_relative_to(folder):
            raise FileNotFoundError(path)
        return file

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Name, size and type of a file or folder."""
        file = self._file(path)
        kind = "directory" if file.is_dir() else "file"
        return {"name": self._strip_protocol(path), "size": file.stat().st_size, "type": kind}

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """The files and folders in a folder; a file itself."""
        name = str(self._strip_protocol(path)).rstrip("/")
        file = self._file(path)
        entries = sorted(file.iterdir()) if file.is_dir() else [None]
        found = [self.info(f"{name}/{entry.name}" if entry else name) for entry in entries]
        return found if detail else [entry["name"] for entry in found]

    def modified(self, path: str) -> Any:
        """The time of the last change."""
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self._file(path).stat().st_mtime, UTC)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> BinaryIO:
        if mode != "rb":
            raise PermissionError("The files of the embedded Cloud Storage are read-only for the embedded BigQuery.")
        return self._file(path).open("rb")


def confine(connection: duckdb.DuckDBPyConnection, files: ReadOnlyFiles) -> None:
    """Takes every other file, and its configuration, away from a database, for as long as it is open."""
    connection.register_filesystem(files)
    connection.execute(f"SET allowed_directories = ['{PROTOCOL}://']")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET allow_community_extensions = false")
    connection.execute("SET allow_persistent_secrets = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def refused(sql: str) -> str | None:
    """The kind of the first statement that the embedded BigQuery does not execute, such as `ATTACH`; None: none."""
    import duckdb

    if _LOAD.fullmatch(sql):
        return None
    try:
        kinds = [statement.type.name for statement in duckdb.extract_statements(sql)]
    except duckdb.Error:
        return None  # it cannot be parsed, so executing it says why
    return next((kind for kind in kinds if kind not in _STATEMENTS), None)


def resolve(uri: str, uploads: Path) -> str | None:
    """The address of a load job's file among `ReadOnlyFiles`; None: the job may not read it.

    Args:
        uri: `gs://{bucket}/{name}`, or the `file://` address of an upload.
        uploads: The folder of uploads.
    """
    if uri.startswith("gs://"):
        path = PurePosixPath(OBJECTS, uri.removeprefix("gs://").lstrip("/"))
    else:
        file = Path(uri.removeprefix("file://"))
        if not uri.startswith("file://") or file.parent != uploads:
            return None
        path = PurePosixPath(UPLOADS, file.name)
    return None if ".." in path.parts else f"{PROTOCOL}://{path}"
