"""The embedded Cloud Storage: `gcp-storage-emulator`, from its wheel, on loopback, its objects below `{home}/cloud`.

`CLOUD_STORAGE` says how it is started; `python -m taxi_assets.local.cloud_storage FOLDER PORT` is its process. The
emulator's gaps that can be closed from outside are closed in `_mend`, each with its reason; the ones that stay (it
takes every precondition for fulfilled, and grants every permission) are named where they matter, in `stores`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from taxi_assets.files import private_folder
from taxi_assets.local.service import LocalServer

BUCKET = "taxi-lake"
"""The bucket that is there from the start."""

STALL_SECONDS = 30


def objects_folder(home: Path) -> Path:
    """Where the emulator keeps its objects as files: `{bucket}/{name}` below it."""
    return home / "cloud" / ".cloudstorage"


def says_ok(url: str) -> bool:
    """Whether there is an answer at this address; past any proxy that the environment names."""
    import requests

    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=5).ok


CLOUD_STORAGE = LocalServer(
    name="cloud-storage",
    command=lambda home, port: [
        sys.executable, "-m", "taxi_assets.local.cloud_storage", str(private_folder(home / "cloud")), str(port)
    ],
    answers=says_ok,
)  # fmt: skip


def _mend() -> None:
    """Closes gaps of the emulator (version 2026.7.19). Each part can go when the emulator does it itself."""
    from gcp_storage_emulator import server, storage  # type: ignore[import-untyped]

    # It writes objects and its index in place: killed at that moment, it leaves half a file and does not start again,
    # and the BigQuery emulator, which reads the files themselves, may see half an object.
    def write_bytes(self: storage._FileStore, path: str, content: bytes) -> None:
        target = self._disk_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.new")
        temporary.write_bytes(content)
        temporary.replace(target)

    storage._FileStore.write_bytes = write_bytes

    # It serves one request at a time, and waits for ever for the rest of a request whose sender has stopped.
    server.RequestHandler.timeout = STALL_SECONDS

    # It empties the whole storage for anyone who opens /wipe, a page in a browser included.
    server.HANDLERS = tuple(entry for entry in server.HANDLERS if entry[0] != r"^/wipe$")


def serve(folder: Path, port: int) -> None:
    """Runs the emulator in this process until it is ended."""
    from gcp_storage_emulator.handlers.buckets import create_bucket  # type: ignore[import-untyped]
    from gcp_storage_emulator.server import create_server  # type: ignore[import-untyped]

    os.umask(0o077)
    _mend()
    server = create_server("127.0.0.1", port, data_dir=str(folder))
    files = server._storage
    # Uploads that were cut off are never resumed by another process.
    for upload in list(files.resumable):
        files.delete_resumable_file_obj(upload)
        files._delete_file("_resumable", files.safe_id(upload))
    if BUCKET not in files.buckets:
        create_bucket(BUCKET, files)
    # It keeps what is deleted for seven days, as Google does by default; on a laptop that is a copy of each old load.
    files.buckets[BUCKET]["softDeletePolicy"] = {"retentionDurationSeconds": "0"}
    server.run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
