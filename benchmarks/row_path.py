"""Counts the files on a row's way: those of `taxi_assets` that run between the HTTP response and PostgreSQL's commit.

    python benchmarks/row_path.py [--data DIR] [--rows 100000]

Runs `taxi run yellow --months 2021-01 --only postgres --force` in this process, in a home and on a server of its own,
and lists each file of the installed `taxi_assets` with a function that is entered in the window:

- The window opens when the headers of the first whole answer (GET, status 200) to a request for the month's file are
  there. It closes when the commit of the transaction that holds the month's rows returns: the last commit by psycopg
  with a COPY since the commit before.
- Entered: the interpreter calls a function, a method, a lambda or a comprehension of the file, or goes on with a
  generator of it, in any thread; or one that was called before returns rows. Whatever the platform does in the window
  counts, also its progress, its checks, its metadata, and Dagster's storage of events.
- Rows pass through a file if a function of it takes or returns rows: bytes of the file, Arrow data, or the object that
  stands for a file of rows or a cleaned month. These files are marked with `*`.
- Not counted: bodies of modules and classes, and what runs because a module is imported in the window; child
  processes; files that are only imported; code that is not Python's.

The trips come from the sample source, or from `--data`: a folder with `yellow/yellow_tripdata_2021-01.csv.gz`, served
over HTTP on loopback. To measure another checkout, run this file by the Python of its `.venv`.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import inspect
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import partial, wraps
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import Any, cast

SERVICE, MONTH = "yellow", "2021-01"
FILE = f"{SERVICE}_tripdata_{MONTH}"
COMMAND = ["taxi", "run", SERVICE, "--months", MONTH, "--only", "postgres", "--force"]


def package_folder() -> Path:
    """The folder of the installed package, without importing it."""
    spec = importlib.util.find_spec("taxi_assets")
    if spec is None or spec.origin is None:
        sys.exit("taxi_assets is not installed for this Python: use the one of a checkout's .venv.")
    return Path(spec.origin).parent


class Recorder:
    """The files that are entered while the window is open, with the first function of each, in order.

    Attributes:
        at_commit: The record as it was when the rows were committed, and which of its files the rows pass through;
            None: they were not committed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = f"{folder}{os.sep}"
        self._open = False
        self._written = False
        self._entered: dict[str, str] = {}
        self._passed: set[str] = set()
        self.at_commit: tuple[dict[str, str], set[str]] | None = None

    def profile(self, frame: FrameType, event: str, argument: object) -> None:
        """As `sys.setprofile` asks for it."""
        code = frame.f_code
        if not self._open or event not in ("call", "return") or not code.co_filename.startswith(self._folder):
            return
        if not code.co_flags & inspect.CO_OPTIMIZED or code.co_filename in self._passed or _importing(frame):
            return
        if event == "call":
            self._entered.setdefault(code.co_filename, code.co_qualname)
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            handed = any(_holds_rows(frame.f_locals.get(name)) for name in names)
        else:
            handed = _holds_rows(argument)
        if handed:
            self._entered.setdefault(code.co_filename, code.co_qualname)
            self._passed.add(code.co_filename)

    def response(self) -> None:
        """Opens the window."""
        self._open = True

    def write(self) -> None:
        """Rows go to PostgreSQL, in the transaction that is open now."""
        self._written = self._open

    def commit(self) -> None:
        """Keeps the record if rows were written since the last commit."""
        if self._written:
            self.at_commit = dict(self._entered), set(self._passed)
            self._written = False


def _holds_rows(value: object) -> bool:
    """Whether a value is rows: bytes of the file, Arrow data, an object with the path of a file of rows, or a month."""
    import pyarrow as pa

    if isinstance(value, bytes | bytearray | pa.RecordBatch | pa.Table | pa.Array | pa.ChunkedArray):
        return len(value) > 1
    if type(value) in (tuple, list):
        return any(_holds_rows(item) for item in cast(list[object], value)[:4])
    if not type(value).__module__.startswith("taxi_assets."):
        return False
    return isinstance(getattr(getattr(value, "kept", value), "path", None), Path)


def _importing(frame: FrameType) -> bool:
    """Whether the frame runs because a module is being imported."""
    caller = frame.f_back
    while caller:
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            return True
        caller = caller.f_back
    return False


def _hook(
    owner: Any, name: str, *, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None
) -> None:
    """Has a method call `before` with its arguments, and `after` with its result and its arguments."""
    original = getattr(owner, name)

    @wraps(original)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        if before:
            before(*args, **kwargs)
        result = original(*args, **kwargs)
        if after:
            after(result, *args, **kwargs)
        return result

    setattr(owner, name, hooked)


def watch(recorder: Recorder) -> None:
    """Tells the recorder of responses, of writes and of commits, in every thread that starts from now on."""
    import psycopg

    def requested(connection: Any, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        connection.wanted = method == "GET" and FILE in url

    def responded(response: http.client.HTTPResponse, connection: Any) -> None:
        if response.status == 200 and getattr(connection, "wanted", False):
            recorder.response()

    _hook(http.client.HTTPConnection, "putrequest", before=requested)
    _hook(http.client.HTTPConnection, "getresponse", after=responded)
    _hook(psycopg.Cursor, "copy", before=lambda *_args, **_kwargs: recorder.write())
    for owner, name in ((psycopg.Connection, "commit"), (psycopg.Transaction, "__exit__")):
        _hook(owner, name, after=lambda *_args, **_kwargs: recorder.commit())
    threading.setprofile(recorder.profile)
    sys.setprofile(recorder.profile)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serves a folder on loopback; gives the address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@contextmanager
def environment(home: Path, rows: int, source: str) -> Iterator[None]:
    """Settings of this run alone: an empty value wins over a developer's files. Stops the local services at the end."""
    from taxi_assets.settings import Settings

    os.environ.pop("DAGSTER_HOME", None)
    os.environ.update({name.upper(): "" for name in Settings.model_fields})
    os.environ.update({"TAXI_HOME": str(home), "TAXI_SAMPLE_ROWS": str(rows), "TAXI_SOURCE_URL": source})
    try:
        yield
    finally:
        taxi = Path(sys.executable).parent / "taxi"
        subprocess.run([str(taxi), "down"], check=False, stdout=subprocess.DEVNULL)


def run() -> None:
    """Runs the command `taxi` in this process; what it prints goes to the standard error."""
    (entry,) = entry_points(group="console_scripts", name="taxi")
    command = entry.load()
    sys.argv = COMMAND
    code: object = 0
    with redirect_stdout(sys.stderr):
        try:
            command()
        except SystemExit as ended:
            code = ended.code
    if code:
        sys.exit(f"{' '.join(COMMAND)} ended with {code}.")


def report(entered: dict[str, str], passed: set[str], folder: Path) -> None:
    """Prints the numbers of files, then the files by room, each with its place in the order; `*`: rows pass through."""
    rooms: dict[str, list[str]] = {}
    for number, (name, function) in enumerate(entered.items(), 1):
        path = Path(name).relative_to(folder)
        room = path.parent.as_posix() if path.parent.parts else folder.name
        rooms.setdefault(room, []).append(f"{number:4}{'*' if name in passed else ' '} {path.as_posix():45} {function}")
    print(f"files entered: {len(entered)}, in {len(rooms)} rooms; rows pass through {len(passed)} of them")
    for room, lines in rooms.items():
        print(f"{room}: {len(lines)}")
        print("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of real files; without it: the sample source")
    parser.add_argument("--rows", type=int, default=100_000, help="rows that the sample source makes up")
    asked = parser.parse_args()
    if asked.data and not (asked.data / SERVICE / f"{FILE}.csv.gz").exists():
        parser.error(f"there is no {SERVICE}/{FILE}.csv.gz in {asked.data}")
    folder = package_folder()
    recorder = Recorder(folder)
    with tempfile.TemporaryDirectory(prefix="taxi-row-path-", ignore_cleanup_errors=True) as temporary:
        serving = server(asked.data) if asked.data else nullcontext("")
        with serving as address, environment(Path(temporary) / "home", asked.rows, address):
            watch(recorder)
            run()
            sys.setprofile(None)
    if recorder.at_commit is None:
        sys.exit("No commit of the month's rows was seen: no COPY by psycopg after the response.")
    report(*recorder.at_commit, folder)


if __name__ == "__main__":
    main()
