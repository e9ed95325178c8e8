"""Fixtures that every room shares."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import count
from os import geteuid
from pathlib import Path

import dagster as dg
import pytest

from taxi_assets.instance import home as dagster_home
from taxi_assets.instance import storage as dagster_storage
from taxi_assets.local import postgres as embedded
from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import CLOUD_STORAGE
from taxi_assets.local.services import SERVICES
from taxi_assets.settings import Settings, settings
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.postgres.connection import PostgresAddress
from taxi_assets_tests import servers
from taxi_assets_tests.external_postgres import DEBIAN
from taxi_assets_tests.faulty_server import FaultyServer
from taxi_assets_tests.proxy import Proxy, in_front_of
from taxi_assets_tests.published import Waiting
from taxi_assets_tests.real_months import EXCERPTS, FULL_MONTHS, RealMonths
from taxi_assets_tests.three_stores import ThreeStores, three_stores

# A shell that starts the tests in the background has them ignore Ctrl-C, and their processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOMS = [
    "trips",
    "sources",
    "local",
    "stores",
    "components",
    "cli",
    "instance",
    "automation",
    "alerts",
    "webhook",
    "deploy",
    "browser",
]
LONGEST = [
    "end_to_end/test_bad_input.py",
    "end_to_end/test_taxi_dev.py",
    "kills/test_kills.py",
    "end_to_end/test_all_stores.py",
    "deploy/test_compose.py",
    "end_to_end/test_killed_runs.py",
    "end_to_end/test_queries.py",
    "end_to_end/test_google_errors.py",
    "browser/test_ui.py",
]
"""Files that take more than a minute and a half: begun last, they would keep one worker busy and the others idle."""


ABSENT = {
    marker: reason
    for marker, present, reason in [
        ("full_months", FULL_MONTHS.folder.is_dir(), "../shared/data is not beside this checkout"),
        ("root", geteuid() == 0, "another user can be taken by root alone"),
        ("postgres_15", DEBIAN.is_dir(), "Debian's package postgresql-15 is not installed"),
    ]
    if not present
}
"""The markers of tests that this machine cannot run, with the reasons."""


def pytest_report_header() -> list[str]:
    """Says which tests are not collected on this machine, and why."""
    return [f"not collected: tests of {marker}: {reason}" for marker, reason in ABSENT.items()]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests of servers, leaves out what this machine cannot run, and puts the fast tests first."""
    servers.mark(items)
    absent = [item for item in items if any(item.get_closest_marker(marker) for marker in ABSENT)]
    if absent:
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]
    _sort(items)
    _restore_order(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Says which test begins."""
    servers.begin(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Says that the test is over."""
    servers.end()


def _restore_order(items: list[pytest.Item]) -> None:
    """Puts the tests of a module marked `in_order` back into the order of the file, where a plugin shuffled them."""
    modules = {item.path for item in items if item.get_closest_marker("in_order")}
    for module in modules:
        places = [place for place, item in enumerate(items) if item.path == module]
        ordered = sorted((items[place] for place in places), key=lambda item: item.reportinfo()[1] or 0)
        for place, item in zip(places, ordered, strict=True):
            items[place] = item


def _sort(items: list[pytest.Item]) -> None:
    """Puts the fast tests first, a room at a time, then those of the whole platform: the longest files first."""

    def place(item: pytest.Item) -> tuple[bool, int, int]:
        path = item.path.relative_to(Path(__file__).parent)
        whole = item.get_closest_marker("e2e") is not None
        longest = LONGEST.index(str(path)) if whole and str(path) in LONGEST else len(LONGEST)
        return whole, longest, ROOMS.index(path.parts[0]) if path.parts[0] in ROOMS else len(ROOMS)

    items.sort(key=place)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(EXCERPTS, id="excerpts"),
        pytest.param(FULL_MONTHS, id="full_months", marks=pytest.mark.full_months),
    ],
)
def real_months(request: pytest.FixtureRequest) -> RealMonths:
    """Real trip records: the excerpts, and then the full months where they are."""
    found: RealMonths = request.param
    return found


@pytest.fixture(scope="session", autouse=True)
def servers_require_the_marker() -> Iterator[None]:
    """No test starts a server unseen."""
    with pytest.MonkeyPatch.context() as patch:
        servers.guard(patch)
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A `TAXI_HOME` of this test session; what was started there is stopped at its end."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    for service in SERVICES.values():
        service.stop(folder)


@pytest.fixture(scope="session")
@servers.starts_server
def postgres(home: Path) -> Iterator[PostgresAddress]:
    """The embedded PostgreSQL of this test session: a real server, stopped at its end."""
    server = embedded.ensure(home)
    yield PostgresAddress(str(server.folder), server.port, server.database, server.user)
    embedded.stop(home)


@pytest.fixture(scope="module")
def empty_instance(postgres: PostgresAddress, home: Path) -> Iterator[dg.DagsterInstance]:
    """The project's `dagster.yaml`, in a database for itself."""
    found = Settings(taxi_home=home, postgres_dbname="automation")
    with pytest.MonkeyPatch.context() as patch:
        for module in (dagster_storage, dagster_home):
            patch.setattr(module, "settings", lambda: found)
        with dg.DagsterInstance.from_config(str(dagster_home.dagster_home())) as instance:
            yield instance


@pytest.fixture
def instance(empty_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """The same for each test, without what the test before left."""
    empty_instance.wipe()
    empty_instance.daemon_cursor_storage.set_cursor_values({"taxi_assets/alerts": ""})
    return empty_instance


@pytest.fixture
def waiting(
    instance: dg.DagsterInstance, postgres: PostgresAddress, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Waiting]:
    """The platform with a source that publishes nothing yet, loading into a schema of its own."""
    with FaultyServer() as server:
        schema = f"automation_{server.url.rpartition(':')[2]}"
        told = {"TAXI_HOME": str(home), "TAXI_SOURCE_URL": server.url, "TAXI_SOURCE_ATTEMPTS": "1"}
        for name, value in {**told, "POSTGRES_SCHEMA": schema}.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        yield Waiting(server, instance, postgres, schema)
    settings.cache_clear()


_numbers = count()


@pytest.fixture(scope="session")
@servers.starts_server
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleCloudResource]:
    """The emulators of this test session: real servers, stopped at its end."""
    home = tmp_path_factory.mktemp("cloud")
    yield GoogleCloudResource(home=str(home))
    for server in (BIGQUERY, CLOUD_STORAGE):
        server.stop(home)


@pytest.fixture
def cloud(services: GoogleCloudResource) -> GoogleCloudResource:
    """These services with a bucket and a dataset that no other test uses."""
    number = next(_numbers)
    services.storage().create_bucket(f"lake-{number}")
    return GoogleCloudResource(home=services.home, bucket=f"lake-{number}", dataset=f"trips_{number}")


@pytest.fixture
def three(cloud: GoogleCloudResource, postgres: PostgresAddress, home: Path, tmp_path: Path) -> Iterator[ThreeStores]:
    """All three stores, with a ledger of their own."""
    with three_stores(cloud, postgres, home, tmp_path) as found:
        yield found


@pytest.fixture
def proxied(cloud: GoogleCloudResource) -> Iterator[tuple[GoogleCloudResource, Proxy, Proxy]]:
    """The same services behind a proxy each, of Cloud Storage and of BigQuery."""
    home = Path(cloud.home)
    with in_front_of(CLOUD_STORAGE, home) as storage, in_front_of(BIGQUERY, home) as bigquery:
        behind = cloud.model_dump(include={"home", "bucket", "project", "dataset"})
        yield (
            GoogleCloudResource(kind="emulator", storage_url=storage.url, bigquery_url=bigquery.url, **behind),
            storage,
            bigquery,
        )
