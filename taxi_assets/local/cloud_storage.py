"""The embedded Cloud Storage: `gcp-storage-emulator`, from its wheel, on loopback, its objects below `{home}/cloud`.

`CLOUD_STORAGE` starts it; `python -m taxi_assets.local.cloud_storage FOLDER PORT` is its process. `_patch` closes gaps
of the emulator, each with its reason. Other gaps stay: every precondition holds, and every permission is granted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from taxi_assets.files import private_folder
from taxi_assets.local.service import LocalServer, responds

BUCKET = "taxi-lake"
"""The bucket that exists from the start."""

STALL_SECONDS = 30


def objects_folder(home: Path) -> Path:
    """The folder of the emulator's objects, as files `{bucket}/{name}`."""
    return home / "cloud" / ".cloudstorage"


CLOUD_STORAGE = LocalServer(
    name="cloud-storage",
    command=lambda home, port: [
        sys.executable, "-m", "taxi_assets.local.cloud_storage", str(private_folder(home / "cloud")), str(port)
    ],
    answers=responds,
)  # fmt: skip


def _patch() -> None:
    """Patches the emulator (version 2026.7.19). Remove a patch when the emulator does the same."""
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

    # It serves one request at a time, and waits forever for the rest of a request whose sender has stopped.
    server.RequestHandler.timeout = STALL_SECONDS

    # It empties the storage for anyone who requests /wipe, also for a page in a browser.
    server.HANDLERS = tuple(entry for entry in server.HANDLERS if entry[0] != r"^/wipe$")


def serve(folder: Path, port: int) -> None:
    """Runs the emulator in this process until the process ends."""
    from gcp_storage_emulator.handlers.buckets import create_bucket  # type: ignore[import-untyped]
    from gcp_storage_emulator.server import create_server  # type: ignore[import-untyped]

    os.umask(0o077)
    _patch()
    server = create_server("127.0.0.1", port, data_dir=str(folder))
    files = server._storage
    # No process resumes an upload that was cut off.
    for upload in list(files.resumable):
        files.delete_resumable_file_obj(upload)
        files._delete_file("_resumable", files.safe_id(upload))
    if BUCKET not in files.buckets:
        create_bucket(BUCKET, files)
    # It keeps deleted objects for seven days, like Google. On a laptop that is a copy of each old load.
    files.buckets[BUCKET]["softDeletePolicy"] = {"retentionDurationSeconds": "0"}
    server.run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
