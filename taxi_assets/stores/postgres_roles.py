"""The roles in PostgreSQL: who owns, who loads, who reads.

The user that logs in is a member of all three and takes the one that its work needs: so a load cannot change the log of
loads, and a query cannot change anything. Where the roles are missing and the user may make roles, it makes them; where
it may not, everything runs as the user itself, and a warning names the file that an administrator runs.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from psycopg import sql

from taxi_assets.stores.postgres_address import PostgresAddress, connect

if TYPE_CHECKING:
    from taxi_assets.stores.postgres_address import Connection

OWNER = "taxi_owner"
"""Owns the schemas, the tables and the log of loads."""
LOADER = "taxi_loader"
"""Writes trips; adds to the log of loads."""
READER = "taxi_reader"
"""Reads: analysts."""
ROLES = (OWNER, LOADER, READER)

ROLES_FILE = "deploy/postgres/roles.sql"
"""For an administrator, where the user may not make roles."""

_logger = logging.getLogger(__name__)


def connect_as(role: str, address: PostgresAddress, application: str = "taxi") -> Connection:
    """A connection that works as that role, each statement its own transaction.

    Raises:
        PassingError: Nothing answers there.
        TaxiError: The server refuses the user, the password or the database.
    """
    connection = connect(address, application)
    if roles_in_use(connection, address):
        connection.execute(set_role(role))
    return connection


def set_role(role: str) -> sql.Composed:
    """The statement that takes a role."""
    return sql.SQL("SET ROLE {}").format(sql.Identifier(role))


def roles_in_use(connection: Connection, address: PostgresAddress) -> bool:
    """Whether the user is a member of every role; makes the roles where they are missing and it may."""
    if _is_member(connection):
        return True
    may = connection.execute("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if may and may[0]:
        _make(connection)
        return True
    _warn(str(address))
    return False


def _is_member(connection: Connection) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s) AND pg_has_role(rolname, 'MEMBER')", [list(ROLES)]
    ).fetchone()
    return found == (len(ROLES),)


def _make(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('taxi_assets roles', 0))")
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
        present = {row[0] for row in rows}
        for role in ROLES:
            if role not in present:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(OWNER)))


@lru_cache
def _warn(address: str) -> None:
    _logger.warning(
        "The roles %s are missing at %s, or the user is no member of them, and it may not make roles: everything runs "
        "as the user itself. An administrator can make them with %s.",
        ", ".join(ROLES),
        address,
        ROLES_FILE,
    )
