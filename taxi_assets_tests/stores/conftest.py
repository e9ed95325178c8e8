"""Servers and schemas for the tests of the stores."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from taxi_assets.stores.postgres.connection import PostgresAddress
from taxi_assets_tests.external_postgres import DEBIAN, external_postgres
from taxi_assets_tests.servers import starts_server

_numbers = count()


@pytest.fixture
def schema() -> str:
    """The name of a schema that no other test uses."""
    return f"trips {next(_numbers)}"


@pytest.fixture(scope="session", params=["the wheel's", pytest.param("15", marks=pytest.mark.postgres_15)])
@starts_server
def external(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresAddress]:
    """A server of somebody else's, of each version that is here."""
    programs = DEBIAN if request.param == "15" else None
    with external_postgres(tmp_path_factory.mktemp("external"), programs) as address:
        yield address
