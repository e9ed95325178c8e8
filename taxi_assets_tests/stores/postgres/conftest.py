"""A database for first loads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taxi_assets.local import postgres as embedded
from taxi_assets.stores.postgres.connection import PostgresAddress, connect


@pytest.fixture
def empty_database(postgres: PostgresAddress, home: Path) -> Iterator[PostgresAddress]:
    """A database that no load has reached."""
    yield replace(postgres, dbname=embedded.ensure(home, database="first_loads").database)
    embedded.ensure(home)
    with connect(postgres) as connection:
        connection.execute("DROP DATABASE first_loads WITH (FORCE)")
