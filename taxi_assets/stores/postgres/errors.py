"""What PostgreSQL refuses, as the platform's clear errors: from psycopg and from ADBC alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from adbc_driver_manager import Error as AdbcError

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.postgres.connection import ROLES_FILE, PostgresAddress

# SQLSTATEs that another try may get past: lost connections, conflicts, no connection or memory left, shutdown.
_PASSING = ("08", "40", "53200", "53300", "55P03", "57P")
_LOST = ("connection", "server closed", "terminating", "no COPY in progress", "EOF detected")


@contextmanager
def clear_errors(address: PostgresAddress, doing: str) -> Iterator[None]:
    """Turns the drivers' errors of the block into clear ones.

    Args:
        address: The server.
        doing: What the block does, as the error's first words: `Loading yellow 2021-01 into ny_taxi.yellow_cab_data`.

    Raises:
        TransientError: The connection was lost, or there was a conflict.
        TaxiError: Anything else that the server refused.
    """
    try:
        yield
    except (psycopg.Error, AdbcError) as error:
        raise _clear(error, address, doing) from error


def _clear(error: psycopg.Error | AdbcError, address: PostgresAddress, doing: str) -> TaxiError:
    state, message = _state(error), _message(error)
    lost = isinstance(error, psycopg.OperationalError | AdbcError) and any(text in message for text in _LOST)
    passing = state.startswith(_PASSING) if state else lost
    next_step = "try again" if passing else "see what PostgreSQL says"
    if state == "42501":
        next_step = f"let an administrator run {ROLES_FILE}, and see who owns the schema and the table"
    if state == "53100":
        next_step = "make room on the server's disk, then run it again"
    return (TransientError if passing else TaxiError)(
        f"{doing} failed in PostgreSQL.",
        found=f"{message}{f' (SQLSTATE {state})' if state else ''}",
        where=str(address),
        intact="all that stood there before: the transaction was rolled back",
        next_step=next_step,
    )


def _state(error: psycopg.Error | AdbcError) -> str:
    if state := getattr(error, "sqlstate", None):
        return str(state)
    found = re.search(r"SQLSTATE: (\w{5})", str(error))
    return found[1] if found else ""


def _message(error: psycopg.Error | AdbcError) -> str:
    if isinstance(error, psycopg.Error):
        return error.diag.message_primary or " ".join(str(error).split())
    for name, text in error.details:
        if name in (b"PG_DIAG_MESSAGE_PRIMARY", "PG_DIAG_MESSAGE_PRIMARY"):
            return text.decode() if isinstance(text, bytes) else str(text)
    said = re.search(r"(?:ERROR|FATAL):\s+(.+)", str(error))
    return said[1].strip() if said else str(error).strip().splitlines()[-1].strip()
