"""A local server is there once, in spite of other containers, a clock that steps, and starts that are broken off."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.local import lock, postgres
from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import BUCKET, CLOUD_STORAGE
from taxi_assets.local.sample_source import SAMPLE_SOURCE
from taxi_assets.local.services import SERVICES
from taxi_assets.settings import Settings
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.postgres.connection import PostgresAddress, connect
from taxi_assets_tests.servers import starts_server

pytestmark = pytest.mark.servers

START = """
import sys
from pathlib import Path
from taxi_assets.errors import TaxiError
from taxi_assets.local.services import SERVICES
from taxi_assets.settings import Settings
home = Path(sys.argv[1])
try:
    for word in sys.argv[2:]:
        name, _, act = word.partition(":")
        service = SERVICES[name]
        print(service.stop(home) if act == "stop" else service.start(Settings(taxi_home=home)), flush=True)
except TaxiError as error:
    print(error)
"""
FILES = {
    "PostgreSQL": postgres.lock_file,
    "sample source": SAMPLE_SOURCE.lock_file,
    "Cloud Storage emulator": CLOUD_STORAGE.lock_file,
    "BigQuery emulator": BIGQUERY.lock_file,
}
EACH = pytest.mark.parametrize("name", FILES)
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture
@starts_server
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A home with servers of its own, stopped at the end."""
    home = tmp_path / "home"
    yield home
    for service in SERVICES.values():
        service.stop(home)


def starter(home: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-c", START, str(home), *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def said(home: Path, *words: str, before: tuple[str, ...] = ()) -> str:
    with starter(home, *words, before=before) as process:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        assert "Traceback" not in out
        return out.strip()


def mains(home: Path) -> list[str]:
    """The command lines of the servers of a home, without PostgreSQL's processes besides the main one."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(home) in word for word in words) and START not in words:
            found.append(" ".join(words[:4]))
    return sorted(found)


def keep(home: Path) -> None:
    """Stores something in each server."""
    cloud = GoogleCloud(home=str(home))
    cloud.storage().bucket(BUCKET).blob("kept").upload_from_string("content")
    cloud.bigquery().query("CREATE SCHEMA IF NOT EXISTS kept; CREATE OR REPLACE TABLE kept.t AS SELECT 7 AS a").result()
    with connect(address(home)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS a")


def assert_kept(home: Path) -> None:
    cloud = GoogleCloud(home=str(home))
    assert cloud.storage().bucket(BUCKET).blob("kept").download_as_bytes() == b"content"
    assert [row.a for row in cloud.bigquery().query("SELECT a FROM kept.t").result()] == [7]
    with connect(address(home)) as connection:
        assert connection.execute("SELECT a FROM kept").fetchall() == [(7,)]


def address(home: Path) -> PostgresAddress:
    server = postgres.ensure(home)
    return PostgresAddress(str(server.folder), server.port, server.database, server.user)


def clock_stepped(folder: Path) -> tuple[str, ...]:
    """The words before a command that sees the clock two seconds later: the system's processes, too, began later."""
    stepped = folder / "stat"
    text = Path("/proc/stat").read_text()
    stepped.write_text(re.sub(r"btime (\d+)", lambda found: f"btime {int(found[1]) + 2}", text))
    return ("unshare", "--mount", "sh", "-c", f'mount --bind {stepped} /proc/stat && exec "$@"', "sh")


@pytest.mark.root
def test_a_stepped_clock_or_another_container_starts_no_second_server(own_home: Path, tmp_path: Path) -> None:
    name = "Cloud Storage emulator"
    first = said(own_home, name)
    assert said(own_home, name, before=clock_stepped(tmp_path)) == first
    assert said(own_home, name, before=NAMESPACE) == first
    assert "another container" in said(own_home, f"{name}:stop", before=NAMESPACE)
    assert len(mains(own_home)) == 1


@pytest.mark.long
@pytest.mark.root
def test_another_pid_namespace_uses_the_same_servers_and_starts_none(own_home: Path) -> None:
    first = said(own_home, *FILES)
    before = mains(own_home)
    assert len(before) == 4
    assert said(own_home, *FILES, before=NAMESPACE) == first
    for name in FILES:
        assert "runs in another container or namespace" in said(own_home, f"{name}:stop", before=NAMESPACE)
    # Another container has a loopback of its own, too: the emulators are out of reach, PostgreSQL's socket is not.
    for name in FILES:
        found = said(own_home, name, before=("unshare", "--net", *NAMESPACE[1:]))
        assert ("socket in" if name == "PostgreSQL" else "runs in another container or namespace") in found
    assert mains(own_home) == before


@pytest.mark.long
@pytest.mark.root
def test_the_lock_of_another_pid_namespace_outlives_its_starter(own_home: Path) -> None:
    """Started in a namespace of their own and stopped there, while this one waits outside."""
    inside = starter(own_home, *FILES, "PostgreSQL", before=("unshare", "--pid", "--fork", "--mount-proc"))
    # The namespace ends with its first process, and all servers in it with the namespace.
    inside.communicate(timeout=120)
    for name, file in FILES.items():
        assert lock.becomes_free(file(own_home), 20), name
    said(own_home, *FILES)
    assert len(mains(own_home)) == 4


@pytest.mark.long
@pytest.mark.root
def test_a_clock_that_steps_changes_nothing(own_home: Path, tmp_path: Path) -> None:
    first = said(own_home, *FILES)
    before = mains(own_home)
    mounted = clock_stepped(tmp_path)
    assert said(own_home, *FILES, before=mounted) == first
    assert mains(own_home) == before
    assert set(said(own_home, *(f"{name}:stop" for name in FILES), before=mounted).split()) == {"True"}
    assert mains(own_home) == []


@EACH
def test_a_server_that_holds_its_data_and_never_answers_is_a_transient_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("taxi_assets.local.service.START_SECONDS", 0.2)
    monkeypatch.setattr("taxi_assets.local.postgres.START_SECONDS", 0.2)
    with lock.taken(FILES[name](tmp_path)) as held:
        assert held
        with pytest.raises(TransientError, match="too long") as raised:
            SERVICES[name].start(Settings(taxi_home=tmp_path))
        assert set(raised.value.details) == {"Expected", "Found", "Where", "Intact", "Next"}
        with pytest.raises(TaxiError, match="another container"):
            SERVICES[name].stop(tmp_path)
    assert SERVICES[name].stop(tmp_path) is False


def test_a_home_behind_a_link_has_the_same_server(own_home: Path, tmp_path: Path) -> None:
    own_home.mkdir()
    link = tmp_path / "link"
    link.symlink_to(own_home)
    assert CLOUD_STORAGE.ensure(link) == CLOUD_STORAGE.ensure(own_home)
    assert CLOUD_STORAGE.stop(link)
    assert not CLOUD_STORAGE.stop(own_home)


@pytest.mark.parametrize("ours", [True, False])
def test_a_server_of_an_older_version_is_replaced_and_another_program_is_not(own_home: Path, ours: bool) -> None:
    """The older version wrote number and start of the process, and held no lock."""
    words = [str(own_home / "cloud")] if ours else []
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", *words])
    (own_home / "run").mkdir(parents=True)
    (own_home / "run" / "cloud-storage.json").write_text(f'{{"pid": {other.pid}, "started": 1.5, "port": 1}}')
    try:
        assert CLOUD_STORAGE.ensure(own_home).pid != other.pid
        assert (other.poll() is not None) == ours
    finally:
        other.kill()
        other.wait(10)


def broken_off(home: Path, name: str, seconds: float, order: signal.Signals, everyone: bool) -> None:
    """Starts a service and sends a signal to its starter, or to all of its process group, after that time."""
    with starter(home, name) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with suppress(ProcessLookupError):
            (os.killpg if everyone else os.kill)(process.pid, order)
        process.communicate(timeout=60)


def measured(home: Path, name: str) -> float:
    SERVICES[name].stop(home)
    began = time.monotonic()
    said(home, name)
    return time.monotonic() - began


ORDERS = [(signal.SIGINT, True), (signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, False)]


def break_off_at(home: Path, name: str, moments: int) -> None:
    duration = measured(home, name)
    for number in range(moments):
        SERVICES[name].stop(home)
        order, everyone = ORDERS[number % len(ORDERS)]
        broken_off(home, name, duration * (number + 0.5) / moments, order, everyone)
        said(home, name)
        own = [line for line in mains(home) if ("postgres" in line) == (name == "PostgreSQL")]
        assert len([line for line in own if name_of(line) == name]) == 1, own


def name_of(line: str) -> str:
    parts = {
        "local.cloud_storage": "Cloud Storage emulator",
        "local.bigquery": "BigQuery emulator",
        "sample": "sample source",
    }
    return next((name for part, name in parts.items() if part in line.split(" -m ")[-1]), "PostgreSQL")


def test_a_start_that_is_broken_off_is_no_obstacle(own_home: Path) -> None:
    break_off_at(own_home, "Cloud Storage emulator", 2)


@pytest.mark.parametrize(
    "fraction", [0.5, *(pytest.param(0.1 * n, marks=pytest.mark.long) for n in (1, 2, 3, 4, 7, 9))]
)
def test_a_first_start_that_is_broken_off_is_no_obstacle(own_home: Path, fraction: float) -> None:
    """Of PostgreSQL, which makes its data then."""
    broken_off(own_home, "PostgreSQL", 3 * fraction, signal.SIGKILL, everyone=False)
    said(own_home, "PostgreSQL")
    assert len(mains(own_home)) == 1


@pytest.mark.long
@EACH
def test_starts_that_are_broken_off_at_ten_moments_lose_nothing(own_home: Path, name: str) -> None:
    keep(own_home)
    break_off_at(own_home, name, 10)
    assert_kept(own_home)
    assert len(mains(own_home)) <= 4  # the sample source only where it was asked for
