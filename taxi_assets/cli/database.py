"""The connection of the commands that only read PostgreSQL. It needs no Dagster, so that they answer at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import IsolationLevel

from taxi_assets.settings import settings
from taxi_assets.stores.postgres.connection import READER, clear_errors, connect_as, postgres_address

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

_DENIED = (
    f"read what {READER} may: the tables that the platform loads. Other tables need their owner's "
    f"GRANT SELECT ON … TO {READER}; files and functions of the server are an administrator's"
)


@contextmanager
def reader(*, snapshot: bool = False) -> Iterator[Connection]:
    """A connection of the role that can only read; with `snapshot`, all its queries see one moment.

    Raises:
        TaxiError: The database cannot be reached, or refuses.
    """
    address = postgres_address(settings())
    with clear_errors(address, "The query", _DENIED), connect_as(READER, address) as connection:
        connection.autocommit = False
        connection.read_only = True
        if snapshot:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
        yield connection
