"""A home that version 0.1.0 at 059d9e6 filled, restored: see `data/homes/README.md`."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copytree
from threading import Thread

import duckdb

from taxi_assets.local import postgres, postgres_files
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.servers import require_marker

ARCHIVE = Path(__file__).parent / "data" / "homes" / "059d9e6.tar.xz"
PORT = 28021
"""The port of the source on loopback, part of the addresses that the home names."""
PUBLISHED = parsedate_to_datetime("Sat, 21 Nov 2026 10:04:05 GMT")
"""When the source's files were changed last, as the home recorded it."""


def restore(home: Path) -> None:
    """Unpacks the home, and fills the data folders of PostgreSQL and BigQuery from their dumps."""
    require_marker()
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(home.parent, filter="data")
    (home.parent / "home_059d9e6").rename(home)
    for path in home.rglob("*"):
        if path.suffix in (".json", ".sql"):
            text = path.read_text()
            path.write_text(text.replace("@HOME@", str(home)).replace("@CODE@", str(PROJECT_ROOT)))
    _restore_bigquery(home / "bigquery")
    _restore_postgres(home)


def _restore_bigquery(folder: Path) -> None:
    with duckdb.connect(str(folder / "bqemulator.duckdb")) as database:
        database.execute(f"IMPORT DATABASE '{folder}'")
    for path in (*folder.glob("*.parquet"), *folder.glob("*.sql")):
        path.unlink()


def _restore_postgres(home: Path) -> None:
    server = postgres.ensure(home)
    dump = home / "postgres.sql"
    for arguments in (
        ["-c", "DROP DATABASE taxi", "-c", "DROP ROLE taxi"],
        ["-f", str(dump)],
    ):
        psql = [
            str(postgres_files.programs() / "psql"),
            "-Xq",
            "-h",
            str(server.folder),
            "-U",
            postgres_files.SUPERUSER,
        ]
        subprocess.run([*psql, "-d", "postgres", *arguments], check=True, capture_output=True)
    dump.unlink()
    postgres.stop(home)


@contextmanager
def source(folder: Path) -> Iterator[str]:
    """The web server that the home's files came from; gives its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    copytree(EXCERPTS.folder, folder)
    for path in folder.rglob("*.csv*"):
        os.utime(path, (PUBLISHED.timestamp(), PUBLISHED.timestamp()))
    with ThreadingHTTPServer(("127.0.0.1", PORT), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{PORT}"
        server.shutdown()
