"""Where PostgreSQL is, and a connection to it: the embedded server, or the one that the settings name."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from psycopg import sql
from pydantic import SecretStr

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.local import postgres as embedded
from taxi_assets.settings import Settings

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

_REFUSED = {
    "28P01": ("refuses the user or the password", "POSTGRES_USER", "POSTGRES_PASSWORD"),
    "28000": ("refuses the user or the password", "POSTGRES_USER", "POSTGRES_PASSWORD"),
    "3D000": ("has no such database", "POSTGRES_DBNAME"),
    "42501": ("does not let the user into the database", "POSTGRES_USER", "POSTGRES_DBNAME"),
}
# What refuses before there is a connection reaches psycopg as text alone, without the code.
_TEXTS = {
    "FATAL: password authentication failed": "28P01",
    "no password supplied": "28P01",
    "FATAL: no pg_hba.conf entry": "28000",
    "authentication failed": "28000",
    "FATAL: role ": "28000",
    "FATAL: database ": "3D000",
    "FATAL: permission denied for database": "42501",
}


@dataclass(frozen=True)
class PostgresAddress:
    """Server, database and user.

    Attributes:
        host: A host's name, or the folder of a socket.
        port: Its port.
        dbname: The database.
        user: Who logs in.
        password: The password, where the server asks for one; shown nowhere.
        connect_timeout: Seconds to wait for a connection.
        origins: Where the settings came from: `{"POSTGRES_HOST": "shell", …}`; empty for the embedded server.
    """

    host: str
    port: int
    dbname: str
    user: str
    password: SecretStr | None = field(default=None, repr=False)
    connect_timeout: int = 10
    origins: dict[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}/{self.dbname}"

    def parameters(self, **more: str) -> dict[str, Any]:
        """What libpq takes, the password included."""
        known: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.dbname,
            "user": self.user,
            "connect_timeout": self.connect_timeout,
            **more,
        }
        return known | ({"password": self.password.get_secret_value()} if self.password else {})


def postgres_address(settings: Settings) -> PostgresAddress:
    """The address that the settings name; starts the embedded server where they name none.

    Raises:
        TaxiError: The embedded server did not start.
    """
    if settings.postgres_host is None:
        server = embedded.ensure(settings.taxi_home, settings.postgres_user, settings.postgres_dbname)
        return PostgresAddress(str(server.folder), server.port, server.database, server.user)
    names = ("host", "port", "dbname", "user", "password")
    return PostgresAddress(
        settings.postgres_host,
        settings.postgres_port,
        settings.postgres_dbname,
        settings.postgres_user,
        settings.postgres_password,
        settings.postgres_connect_timeout,
        {f"POSTGRES_{name.upper()}": settings.origin(f"postgres_{name}") for name in names},
    )


def connect(address: PostgresAddress, application: str = "taxi", **more: str) -> Connection:
    """A connection, each statement its own transaction.

    Args:
        address: Where.
        application: What the server shows as the connection's name.
        more: Further parameters of libpq.

    Raises:
        TransientError: Nothing answers there, or not in time.
        TaxiError: The server refuses the user, the password or the database.
    """
    import psycopg

    try:
        return psycopg.connect(**address.parameters(application_name=application, **more), autocommit=True)
    except psycopg.OperationalError as error:
        raise _no_connection(address, error) from None


def _no_connection(address: PostgresAddress, error: psycopg.OperationalError) -> TaxiError:
    reason = " ".join(str(error).split())
    code = error.sqlstate or next((code for text, code in _TEXTS.items() if text in reason), "")
    details = {
        "found": reason.replace(address.password.get_secret_value(), "***") if address.password else reason,
        "where": f"host {address.host}, port {address.port}, database {address.dbname}, user {address.user}",
        "intact": "nothing was written",
    }
    if code in _REFUSED:
        refused, *names = _REFUSED[code]
        return TaxiError(
            f"PostgreSQL {refused}.", **details, next_step=f"correct {' or '.join(_named(address, names))}"
        )
    names = ["POSTGRES_HOST", "POSTGRES_PORT"]
    return TransientError(
        "PostgreSQL cannot be reached.",
        **details,
        expected=f"an answer within {address.connect_timeout} seconds",
        next_step=f"start that server, or correct {' or '.join(_named(address, names))}; "
        "without POSTGRES_HOST the embedded server is used",
    )


def _named(address: PostgresAddress, names: list[str]) -> list[str]:
    return [f"{name} (from: {address.origins.get(name, 'default')})" for name in names]


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
        TransientError: Nothing answers there.
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
