"""The address of PostgreSQL, connections and their roles, and the errors of its driver."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from pydantic import SecretStr

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.local import postgres as embedded
from taxi_assets.local.postgres_files import data_folder
from taxi_assets.settings import Settings

if TYPE_CHECKING:
    Connection = psycopg.Connection[tuple[Any, ...]]

OWNER = "taxi_owner"
"""Owns the schemas and the tables."""
LEDGER = "taxi_ledger"
"""Owns the ledger. The user becomes a member for a migration only: see `ledger.py`."""
LOADER = "taxi_loader"
"""Writes trips and adds to the load log."""
READER = "taxi_reader"
"""Reads: the role of analysts."""
ROLES = (OWNER, LOADER, READER)

ROLES_FILE = "deploy/postgres/roles.sql"
"""For an administrator, where the user may not create roles."""

_logger = logging.getLogger(__name__)
_corrected: set[str] = set()
"""The addresses at which this process has corrected the memberships of older code."""

_REFUSED = {
    "28P01": ("refuses the user or the password", "POSTGRES_USER", "POSTGRES_PASSWORD"),
    "28000": ("refuses the user or the password", "POSTGRES_USER", "POSTGRES_PASSWORD"),
    "3D000": ("has no such database", "POSTGRES_DBNAME"),
    "42501": ("does not let the user into the database", "POSTGRES_USER", "POSTGRES_DBNAME"),
}
# Before there is a connection, psycopg gets the text of an error without its code.
_TEXTS = {
    "FATAL: password authentication failed": "28P01",
    "no password supplied": "28P01",
    "FATAL: no pg_hba.conf entry": "28000",
    "authentication failed": "28000",
    "FATAL: role ": "28000",
    "FATAL: database ": "3D000",
    "FATAL: permission denied for database": "42501",
}

# SQLSTATEs of transient errors: lost connections, conflicts, no connection or memory left, shutdown.
_TRANSIENT = ("08", "40", "53200", "53300", "55P03", "57P")

# Its warnings repeat errors that are raised.
logging.getLogger("psycopg").setLevel(logging.ERROR)


@dataclass(frozen=True)
class PostgresAddress:
    """Server, database and user.

    Attributes:
        host: A host's name, or the folder of a socket.
        port: Its port.
        dbname: The database.
        user: Who logs in.
        password: The password; None: the server asks for none.
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
        """The parameters for libpq, with the password."""
        parameters: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.dbname,
            "user": self.user,
            "connect_timeout": self.connect_timeout,
            **more,
        }
        return parameters | ({"password": self.password.get_secret_value()} if self.password else {})


def has_database(settings: Settings) -> bool:
    """Whether there is a database to read: the embedded server has none before it is started for the first time."""
    return settings.postgres_host is not None or data_folder(settings.taxi_home).exists()


def postgres_address(settings: Settings) -> PostgresAddress:
    """The address in the settings. Without one, starts the embedded server.

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
    """Connects; each statement is its own transaction.

    Args:
        address: The server.
        application: The connection's name on the server.
        more: Further parameters of libpq.

    Raises:
        TransientError: There is no answer, or not in time.
        TaxiError: The server refuses the user, the password or the database.
    """
    try:
        # Rows are copied as UTF-8; PGCLIENTENCODING or the user's settings may say otherwise.
        parameters = address.parameters(application_name=application, client_encoding="utf8", **more)
        return psycopg.connect(**parameters, autocommit=True)
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


@contextmanager
def clear_errors(address: PostgresAddress, doing: str, denied: str | None = None) -> Iterator[None]:
    """Raises errors of psycopg in the block as the platform's errors.

    Args:
        address: The server.
        doing: What the block does, as the error's first words: `Loading yellow 2021-01 into ny_taxi.yellow_cab_data`.
        denied: What to do where a right is missing, if the platform's roles are not the reason.

    Raises:
        TransientError: The connection was lost, or there was a conflict.
        TaxiError: The server refused.
    """
    try:
        yield
    except psycopg.Error as error:
        raise _clear(error, address, doing, denied) from error


def _clear(error: psycopg.Error, address: PostgresAddress, doing: str, denied: str | None) -> TaxiError:
    state = error.sqlstate or ""
    message = error.diag.message_primary or " ".join(str(error).split())
    # An error without a code is not the server's answer: the connection was lost.
    transient = state.startswith(_TRANSIENT) if state else isinstance(error, psycopg.OperationalError)
    next_step = "try again" if transient else "correct what PostgreSQL names above"
    if state == "42501":
        next_step = denied or f"let an administrator run {ROLES_FILE}, and see who owns the schema and the table"
    if state == "53100":
        next_step = "make room on the server's disk, then run it again"
    return (TransientError if transient else TaxiError)(
        f"{doing} failed in PostgreSQL.",
        found=f"{message}{f' (SQLSTATE {state})' if state else ''}",
        where=str(address),
        intact="everything as it was: the transaction was rolled back",
        next_step=next_step,
    )


def connect_as(role: str, address: PostgresAddress, application: str = "taxi") -> Connection:
    """Connects as a role; each statement is its own transaction.

    Raises:
        TransientError: There is no answer.
        TaxiError: The server refuses the user, the password or the database.
    """
    connection = connect(address, application)
    if roles_in_use(connection, address):
        connection.execute(set_role(role))
    return connection


def set_role(role: str) -> sql.Composed:
    """The statement that sets the role."""
    return sql.SQL("SET ROLE {}").format(sql.Identifier(role))


def lock(connection: Connection, name: str) -> None:
    """Waits for a lock of the platform, such as `roles` or `schema mage`; the transaction holds it."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"taxi_assets {name}"])


def roles_in_use(connection: Connection, address: PostgresAddress) -> bool:
    """Whether the user is a member of every role. Creates missing roles and memberships where it may."""
    members, careless, may_create, closed = _roles(connection)
    careless = careless and str(address) not in _corrected
    if may_create and (not members or careless or closed):
        _corrected.add(str(address))
        # Grants that an administrator made stay as they are.
        with suppress(*([psycopg.errors.InsufficientPrivilege] if members else [])):
            _create_roles(connection)
        return True
    if members:
        return True
    _warn_of_missing_roles(str(address))
    return False


def _roles(connection: Connection) -> tuple[bool, bool, bool, bool]:
    """What to do about the roles.

    Returns:
        Whether the user is a member of every role; whether it has the owner's or the loader's rights unasked (a
        superuser has them anyway); whether it may create roles; whether the owner of the tables may not create schemas
        in this database of the user.
    """
    row = connection.execute(
        """
        SELECT count(*) = %(count)s,
               NOT u.rolsuper AND coalesce(bool_or(pg_has_role(r.oid, 'USAGE'))
                                           FILTER (WHERE r.rolname <> %(reader)s), false),
               u.rolcreaterole OR u.rolsuper,
               pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')
               AND NOT coalesce(bool_or(has_database_privilege(r.oid, current_database(), 'CREATE'))
                                FILTER (WHERE r.rolname = %(owner)s), false)
        FROM pg_roles u LEFT JOIN pg_roles r ON r.rolname = ANY(%(roles)s) AND pg_has_role(r.oid, 'MEMBER')
        WHERE u.rolname = current_user GROUP BY u.rolsuper, u.rolcreaterole
        """,
        {"count": len(ROLES), "roles": list(ROLES), "owner": OWNER, "reader": READER},
    ).fetchone()
    return row or (False, False, False, False)


def _create_roles(connection: Connection) -> None:
    """Creates the roles, and makes the user a member that uses the owner's and the loader's rights only when it asks.

    So a person's statement in `psql` reads, and drops or empties nothing by mistake. Before version 16, PostgreSQL has
    that choice for all memberships of a user at once: then the user reads by rights of its own.
    """
    new = connection.info.server_version >= 160000
    with connection.transaction():
        lock(connection, "roles")
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
        present = {row[0] for row in rows}
        for role in ROLES:
            if role not in present:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            options = f" WITH INHERIT {role == READER}, SET TRUE" if new else ""
            connection.execute(sql.SQL(f"GRANT {{}} TO CURRENT_USER{options}").format(sql.Identifier(role)))
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(OWNER)))
        if not new:
            _stop_inheriting(connection)


def _stop_inheriting(connection: Connection) -> None:
    """Before PostgreSQL 16: of a user that is a member of the platform's roles alone, and may read its tables."""
    others = """
        SELECT FROM pg_auth_members JOIN pg_roles r ON r.oid = roleid
        WHERE member = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND rolname <> ALL(%s)
    """
    row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if row == (True,) or connection.execute(others, [list(ROLES)]).rowcount:
        return
    tables = """
        SELECT DISTINCT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'p') AND pg_get_userbyid(relowner) = %s
    """
    schemas = [name for (name,) in connection.execute(tables, [OWNER]).fetchall()]
    user = sql.SQL(" TO {}").format(sql.Identifier(connection.info.user))
    connection.execute(set_role(OWNER))
    for schema in schemas:
        name = sql.Identifier(schema)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {}").format(name) + user)
        connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {}").format(name) + user)
    connection.execute("RESET ROLE")
    connection.execute("ALTER ROLE CURRENT_USER NOINHERIT")


def reader_roles(connection: Connection) -> sql.Composed:
    """Whom the right to read is granted: the reader, and before PostgreSQL 16 the user itself."""
    reader = sql.Identifier(READER)
    if connection.info.server_version >= 160000:
        return sql.Composed([reader])
    return sql.SQL("{}, {}").format(reader, sql.Identifier(connection.info.user))


@lru_cache
def _warn_of_missing_roles(address: str) -> None:
    _logger.warning(
        "The roles %s are missing at %s, or the user is no member of them and may not create roles: everything runs "
        "as the user itself. An administrator can create them with %s.",
        ", ".join(ROLES),
        address,
        ROLES_FILE,
    )
