"""Fixtures that every room shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taxi_assets.local import postgres as embedded
from taxi_assets.stores.postgres_address import PostgresAddress

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real trip records beside the checkout; whoever has none skips the tests on them."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real trip records: the folder ../shared/data is not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `TAXI_HOME` of this test session."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[PostgresAddress]:
    """The embedded PostgreSQL of this test session: a real server, stopped at its end."""
    server = embedded.ensure(home)
    yield PostgresAddress(str(server.folder), server.port, server.database, server.user)
    embedded.stop(home)
