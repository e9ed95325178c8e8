"""Who may use the embedded emulators: who knows the secret of the home, at a known name, and no page in a browser."""

from __future__ import annotations

import http.client
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from taxi_assets.local.access import Access, home_secret, secret_file
from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import CLOUD_STORAGE
from taxi_assets.local.service import LocalServer
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets_tests.proxy import Proxy

BOTH = pytest.mark.parametrize("server", [BIGQUERY, CLOUD_STORAGE], ids=lambda server: server.name)
PATHS = [
    "/",
    "/health",
    "/healthz",
    "/readyz",
    "/wipe",
    "/nowhere",
    "/docs",
    "/openapi.json",
    "/b",
    "/b/taxi-lake/o",
    "/storage/v1/b",
    "/storage/v1/b/taxi-lake/o",
    "/storage/v1/b/taxi-lake/o/a%2Fb?alt=media",
    "/upload/storage/v1/b/taxi-lake/o?uploadType=resumable&name=a",
    "/upload/storage/v1/b/taxi-lake/o?uploadType=multipart",
    "/download/storage/v1/b/taxi-lake/o/a?alt=media",
    "/batch/storage/v1",
    "/taxi-lake/a?X-Goog-Signature=00&X-Goog-Credential=a",
    "/bigquery/v2/projects/taxi-local/datasets",
    "/bigquery/v2/projects/taxi-local/jobs",
    "/bigquery/v2/projects/taxi-local/queries",
    "/upload/bigquery/v2/projects/taxi-local/jobs?uploadType=resumable",
    "/resumable/upload/bigquery/v2/projects/taxi-local/jobs",
]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

servers = pytest.mark.servers


def asked(server: LocalServer, home: Path, headers: dict[str, str], method: str = "GET", path: str = PATHS[-5]) -> int:
    """The status that the server answers to these headers alone."""
    connection = http.client.HTTPConnection("127.0.0.1", server.ensure(home).port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Content-Length": "0", **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        return connection.getresponse().status
    finally:
        connection.close()


@servers
@BOTH
def test_every_path_asks_for_the_secret(services: GoogleCloud, server: LocalServer) -> None:
    home = Path(services.home)
    host = {"Host": "127.0.0.1"}
    found = {(method, path): asked(server, home, host, method, path) for method in METHODS for path in PATHS}
    assert {key: status for key, status in found.items() if status != 401} == {}


@servers
@BOTH
def test_a_wrong_secret_host_or_origin_is_refused(services: GoogleCloud, server: LocalServer) -> None:
    home = Path(services.home)
    secret = home_secret(home)
    right = {"Host": "127.0.0.1:1", "Authorization": f"Bearer {secret}"}
    accepted = asked(server, home, right)
    assert accepted not in (401, 403)
    for allowed in ({"Host": "localhost"}, {"Host": "[::1]:80"}, {"Origin": "http://127.0.0.1:1"}):
        assert asked(server, home, {**right, **allowed}) == accepted
    for wrong in ("Bearer ", f"Basic {secret}", f"Bearer {secret[:-1]}", f"Bearer {secret}x", secret, "Bearer ü"):
        assert asked(server, home, {**right, "Authorization": wrong}) == 401
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", "0.0.0.0", "", "127.1"):
        assert asked(server, home, {**right, "Host": host}) == 403
    assert asked(server, home, {"Authorization": right["Authorization"]}) in (400, 403)
    for origin in ("http://evil.example", "null", "http://127.0.0.1:2", "https://127.0.0.1:1", "http://localhost:1"):
        assert asked(server, home, {**right, "Origin": origin}) == 403


@servers
@BOTH
def test_the_secret_is_on_no_command_line_and_in_no_log(services: GoogleCloud, server: LocalServer) -> None:
    home = Path(services.home)
    secret = home_secret(home)
    process = psutil.Process(server.ensure(home).pid)
    assert secret not in " ".join([*process.cmdline(), *process.environ().values()])
    holding = [path for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert holding == [secret_file(home)]


@servers
def test_an_upload_that_was_begun_goes_on_with_the_secret_alone(cloud: GoogleCloud) -> None:
    address = cloud.storage().bucket(cloud.bucket).blob("begun").create_resumable_upload_session()
    path = "/" + address.partition("//")[2].partition("/")[2]
    home = Path(cloud.home)
    assert asked(CLOUD_STORAGE, home, {"Host": "localhost"}, "PUT", path) == 401
    right = {"Host": "localhost", "Authorization": f"Bearer {home_secret(home)}"}
    assert asked(CLOUD_STORAGE, home, right, "PUT", path) == 200


@servers
def test_an_emulator_of_the_users_own_gets_no_secret(proxied: tuple[GoogleCloud, Proxy, Proxy]) -> None:
    cloud, storage, bigquery = proxied
    list(cloud.storage().list_blobs(cloud.bucket))
    cloud.bigquery().query("SELECT 1").result()
    for proxy in (storage, bigquery):
        assert proxy.requests
        assert [request.headers for request in proxy.requests if "Authorization" in request.headers] == []


@servers
def test_a_secret_that_was_removed_is_made_again_and_running_servers_take_it(services: GoogleCloud) -> None:
    home = Path(services.home)
    client = services.storage()
    old = home_secret(home)
    secret_file(home).unlink()
    assert home_secret(home) != old
    assert list(client.list_buckets())
    assert list(services.storage().list_buckets())
    assert asked(CLOUD_STORAGE, home, {"Host": "localhost", "Authorization": f"Bearer {old}"}) == 401


def test_processes_that_ask_at_the_same_time_get_one_secret(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from taxi_assets.local.access import home_secret as s"
    command = [sys.executable, "-c", f"{code}; print(s(Path(sys.argv[1])))", str(tmp_path)]
    with ThreadPoolExecutor(8) as pool:
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        found = set(pool.map(lambda _: home_secret(tmp_path), range(50)))
        found.add(other.communicate(timeout=30)[0].strip())
    assert len(found) == 1
    assert len(found.pop()) == 43
    assert stat.S_IMODE(secret_file(tmp_path).stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"secret", "secret.lock"}


@pytest.mark.parametrize("spoiled", ["open to others", "empty", "cut off"])
def test_a_secret_that_others_read_or_that_is_not_whole_is_replaced(tmp_path: Path, spoiled: str) -> None:
    first = home_secret(tmp_path)
    if spoiled == "open to others":
        secret_file(tmp_path).chmod(0o640)
    else:
        secret_file(tmp_path).write_text("" if spoiled == "empty" else first[:20])
    second = home_secret(tmp_path)
    assert second != first
    assert home_secret(tmp_path) == second


def test_a_setting_names_further_hosts(tmp_path: Path) -> None:
    access = Access(tmp_path, ["emulators", " [fd00::1] "])
    right = ("Authorization", f"Bearer {home_secret(tmp_path)}")
    for host in ("emulators:9050", "EMULATORS", "[fd00::1]:9050", "localhost"):
        assert access.refusal([("Host", host), right]) is None
    for host in ("other", "emulators.example"):
        assert access.refusal([("Host", host), right])
    assert access.refusal([("Host", "localhost"), ("Host", "localhost"), right])
    assert access.refusal([("Host", "localhost"), right, right])


@servers
@BOTH
@pytest.mark.root
def test_another_user_of_the_machine_is_refused(services: GoogleCloud, server: LocalServer) -> None:
    home = Path(services.home)
    code = """
import os, sys, urllib.error, urllib.request
"".encode("idna")
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in sys.argv[2:]:
    try: open(path).read(); print("read", path)
    except PermissionError: pass
try: urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=10)
except urllib.error.HTTPError as error: print(error.code)
"""
    database, environment = home / "bigquery" / "bqemulator.duckdb", f"/proc/{server.ensure(home).pid}/environ"
    files = [str(secret_file(home)), str(database), environment]
    command = [sys.executable, "-c", code, server.ensure(home).url, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.stdout.split() == ["401"], done.stderr
