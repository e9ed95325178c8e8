"""A database for first loads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from taxi_assets.local import postgres as embedded
from taxi_assets.stores.postgres.connection import PostgresAddress, connect

_numbers = count()


@pytest.fixture
def empty_database(postgres: PostgresAddress, home: Path) -> Iterator[PostgresAddress]:
    """A database that no load has reached."""
    name = f"first_loads_{next(_numbers)}"
    yield replace(postgres, dbname=embedded.ensure(home, database=name).database)
    embedded.ensure(home)
    with connect(postgres) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
