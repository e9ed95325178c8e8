"""The login roles and the databases of the embedded PostgreSQL, as `POSTGRES_USER` and `POSTGRES_DBNAME` name them.

All users work with the same data. The first user of a server owns every database, and gets what later ones have made.
Each later one is a member of the first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import Connection, connect, sql

from taxi_assets.local import postgres_files as files

_KINDS = ("TABLES", "SEQUENCES", "FUNCTIONS", "SCHEMAS")


def superuser(folder: Path, database: str = "postgres") -> Connection[tuple[Any, ...]]:
    """Connects to the server with its socket in that folder as the role that makes users and databases."""
    return connect(
        host=str(folder),
        port=files.PORT,
        user=files.SUPERUSER,
        dbname=database,
        connect_timeout=5,
        application_name="taxi bootstrap",
        autocommit=True,
    )


def make(folder: Path, user: str, database: str) -> None:
    """Makes the login role and the database, where they are missing, and lets the one work with the other."""
    with superuser(folder) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('taxi_assets bootstrap', 0))")
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [user]).rowcount:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(user)))
        first, *later = _users(connection)
        owner = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [database]
        ).fetchone()
        if owner != (first,):
            statement = "ALTER DATABASE {} OWNER TO {}" if owner else "CREATE DATABASE {} OWNER {}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(database), sql.Identifier(first)))
        if user != first:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(first), sql.Identifier(user)))
        _share_roles(connection, first)
    if later:
        with superuser(folder, database) as connection:
            for name in later:
                _hand_over(connection, name, first)


def _users(connection: Connection[tuple[Any, ...]]) -> list[str]:
    """The login roles, the first one first."""
    rows = connection.execute(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolcreaterole AND NOT rolsuper ORDER BY oid"
    ).fetchall()
    return [str(name) for (name,) in rows]


def _hand_over(connection: Connection[tuple[Any, ...]], user: str, first: str) -> None:
    """Gives the first user what a later one has made in a database, and the right to use what it will make."""
    names = sql.Identifier(user), sql.Identifier(first)
    connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(*names))
    for kind in _KINDS:
        statement = f"ALTER DEFAULT PRIVILEGES FOR ROLE {{}} GRANT ALL ON {kind} TO {{}}"
        connection.execute(sql.SQL(statement).format(*names))


def _share_roles(connection: Connection[tuple[Any, ...]], first: str) -> None:
    """Gives the first user the memberships of later ones, who may have made the platform's roles."""
    rows = connection.execute(
        """
        SELECT roleid::regrole::text, bool_or(admin_option), bool_or(inherit_option), bool_or(set_option)
        FROM pg_auth_members JOIN pg_roles u ON u.oid = member
        WHERE u.rolcanlogin AND u.rolname <> %(first)s
        AND roleid <> (SELECT oid FROM pg_roles WHERE rolname = %(first)s)
        AND NOT EXISTS (SELECT FROM pg_auth_members f JOIN pg_roles r ON r.oid = f.member
                        WHERE f.roleid = pg_auth_members.roleid AND r.rolname = %(first)s)
        GROUP BY roleid
        """,
        {"first": first},
    ).fetchall()
    for role, admin, inherit, may_set in rows:
        options = sql.SQL(f"WITH ADMIN {admin}, INHERIT {inherit}, SET {may_set}")
        connection.execute(sql.SQL("GRANT {} TO {} {}").format(sql.SQL(role), sql.Identifier(first), options))
