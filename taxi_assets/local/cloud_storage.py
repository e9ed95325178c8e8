"""The embedded Cloud Storage: `gcp-storage-emulator`, from its wheel, on loopback, its objects below `{home}/cloud`.

`CLOUD_STORAGE` starts it; `python -m taxi_assets.local.cloud_storage HOME PORT` is its process. `_patch` closes gaps
of the emulator, each with its reason; `preconditions` closes that of generations. Other gaps stay: every permission is
granted, and requests in a batch are not looked at.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from taxi_assets.files import private_folder, private_process
from taxi_assets.local.access import access_from_environment, error_body
from taxi_assets.local.preconditions import honour
from taxi_assets.local.service import START_SECONDS, LocalServer, publish

BUCKET = "taxi-lake"
"""The bucket that exists from the start."""

STALL_SECONDS = 30


def objects_folder(home: Path) -> Path:
    """The folder of the emulator's objects, as files `{bucket}/{name}`."""
    return home / "cloud" / ".cloudstorage"


CLOUD_STORAGE = LocalServer(
    name="cloud-storage",
    folder="cloud",
    command=lambda home, port: [sys.executable, "-m", "taxi_assets.local.cloud_storage", str(home), str(port)],
)


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


def _patch_access(home: Path) -> None:
    """Checks every request before the emulator acts on it: it has no check of its own."""
    from gcp_storage_emulator import server

    access = access_from_environment(home)
    parse = server.RequestHandler.parse_request

    def parse_checked(self: Any) -> bool:
        if not parse(self):
            return False
        if not (refusal := access.refusal(self.headers.items())):
            return True
        status, reason = refusal
        body = error_body(status, reason)
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(body)
        return False

    server.RequestHandler.parse_request = parse_checked


def serve(home: Path, port: int) -> None:
    """Runs the emulator in this process until the process ends."""
    from gcp_storage_emulator.handlers.buckets import create_bucket  # type: ignore[import-untyped]
    from gcp_storage_emulator.server import create_server  # type: ignore[import-untyped]

    private_process()
    _patch()
    _patch_access(home)
    server = create_server("127.0.0.1", port, data_dir=str(private_folder(home / "cloud")))
    files = server._storage
    honour(files, private_folder(home / "cloud"))
    # No process resumes an upload that was cut off.
    for upload in list(files.resumable):
        files.delete_resumable_file_obj(upload)
        files._delete_file("_resumable", files.safe_id(upload))
    if BUCKET not in files.buckets:
        create_bucket(BUCKET, files)
    # It keeps deleted objects for seven days, like Google. On a laptop that is a copy of each old load.
    files.buckets[BUCKET]["softDeletePolicy"] = {"retentionDurationSeconds": "0"}
    server._api.daemon = True
    server._api.start()
    if not server._api.is_running.wait(START_SECONDS):
        sys.exit("it cannot listen")
    publish(server._api._httpd.server_port)
    signal.pause()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
