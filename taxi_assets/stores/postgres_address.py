"""Where PostgreSQL is, and a connection to it: the embedded server, or the one that the settings name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from taxi_assets.errors import PassingError, TaxiError
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
        PassingError: Nothing answers there, or not in time.
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
    return PassingError(
        "PostgreSQL cannot be reached.",
        **details,
        expected=f"an answer within {address.connect_timeout} seconds",
        next_step=f"start that server, or correct {' or '.join(_named(address, names))}; "
        "without POSTGRES_HOST the embedded server is used",
    )


def _named(address: PostgresAddress, names: list[str]) -> list[str]:
    return [f"{name} (from: {address.origins.get(name, 'default')})" for name in names]
