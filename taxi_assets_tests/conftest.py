"""Fixtures that every room shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taxi_assets.local import postgres as embedded
from taxi_assets.local.services import SERVICES
from taxi_assets.stores.postgres_address import PostgresAddress

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


ROOMS = ["trips", "sources", "local", "stores", "components", "console", "automation", "deploy", "browser"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the fast tests first, a room at a time, then those that run the whole platform."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        return item.get_closest_marker("e2e") is not None, ROOMS.index(room) if room in ROOMS else len(ROOMS)

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real trip records beside the checkout; whoever has none skips the tests on them."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real trip records: the folder ../shared/data is not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A `TAXI_HOME` of this test session; what was started there is stopped at its end."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    for service in SERVICES.values():
        service.stop(folder)


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[PostgresAddress]:
    """The embedded PostgreSQL of this test session: a real server, stopped at its end."""
    server = embedded.ensure(home)
    yield PostgresAddress(str(server.folder), server.port, server.database, server.user)
    embedded.stop(home)
