"""The lock of a month in a place of a store: one load of it at a time, whichever process asks.

It stands in PostgreSQL for every store. A load into PostgreSQL takes it within its transaction; those into lake and
warehouse hold it with a connection of its own. Whoever dies loses it with the connection.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from taxi_assets.errors import TransientError
from taxi_assets.stores.postgres.connection import PostgresAddress, connect
from taxi_assets.stores.postgres.errors import clear_errors

WAIT_SECONDS = 300.0
"""How long a load waits for another one of the same month."""

_HOLDER = """
    WITH lock AS (SELECT hashtextextended($1, 0) AS key)
    SELECT format('process %s (%s) of %s, since %s', l.pid, a.application_name, a.usename,
                  coalesce(a.xact_start, a.backend_start))
    FROM lock, pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.classid::bigint = (lock.key >> 32) & 4294967295 AND l.objid::bigint = lock.key & 4294967295
"""


def lock_month(cursor: Any, name: str, wait_seconds: float = WAIT_SECONDS, *, until: str = "xact_") -> None:
    """Takes the lock, as long as the transaction lasts.

    Args:
        cursor: A cursor whose parameters are written `$1`.
        name: The place and the month: `ny_taxi.yellow_cab_data 2021-01`.
        wait_seconds: How long to wait for another load.
        until: `xact_`: until the transaction ends; empty: until the connection ends.

    Raises:
        TransientError: Another load holds it; says which.
    """
    deadline = time.monotonic() + wait_seconds
    key = f"taxi_assets load {name}"
    while not one(cursor, f"SELECT pg_try_advisory_{until}lock(hashtextextended($1, 0))", key):
        if time.monotonic() > deadline:
            # The loader's role is not told since when others work.
            cursor.execute("RESET ROLE")
            raise TransientError(
                f"Another load of {name} is under way.",
                expected=f"the lock of that month within {wait_seconds:g} seconds",
                found=one(cursor, _HOLDER, key) or "it ended just now",
                intact="that month, as it was; the other load goes on",
                next_step="wait for the other load, or end it",
            )
        time.sleep(0.2)


@contextmanager
def month_locked(address: PostgresAddress, name: str, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Holds the lock during the block. Raises what `lock_month` raises, or that PostgreSQL cannot be reached."""
    from psycopg import RawCursor

    with closing(connect(address, f"taxi load {name}"[:63])) as connection:
        with clear_errors(address, f"Taking the lock of {name}"):
            lock_month(RawCursor(connection), name, wait_seconds, until="")
        yield


def one(cursor: Any, query: str, *parameters: str) -> Any:
    """The first value of the first row; None where there is none."""
    cursor.execute(query, parameters)
    row = cursor.fetchone()
    return row[0] if row else None
