"""The ledger's schema `taxi_assets`: its version, its migrations, its owner and its identity.

Older code than the ledger's refuses to write, and may read. The schema belongs to a role of its own, which nobody is a
member of: a user becomes a member inside the transaction of a migration alone. So no one disables the trigger that
keeps the log append-only, or drops the log, by mistake.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from taxi_assets.errors import TaxiError
from taxi_assets.stores.month import revision
from taxi_assets.stores.postgres.connection import (
    LEDGER,
    LOADER,
    OWNER,
    ROLES_FILE,
    lock,
    reader_roles,
    set_role,
)

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

HEAD = "0003"
"""The newest revision that this code knows. A constant, so that only a migration imports Alembic."""
SCRIPTS = Path(__file__).parent / "migrations"
VERSIONS = [SCRIPTS / "versions"]
"""The folders of the revisions."""

_STATE = """
    SELECT v.version_num, l.identity::text, l.migrated_by FROM taxi_assets.ledger l, taxi_assets.alembic_version v
    WHERE EXISTS (SELECT FROM pg_tables WHERE schemaname = 'taxi_assets' AND tablename = 'load_log')
"""
_GRANTS = """
GRANT USAGE ON SCHEMA taxi_assets TO {owner}, {loader}, {reader};
GRANT SELECT ON ALL TABLES IN SCHEMA taxi_assets TO {owner}, {loader}, {reader};
GRANT INSERT ON taxi_assets.load_log TO {loader};
"""
_OWNED = """
    SELECT pg_get_userbyid(nspowner)::text, 'SCHEMA', 'taxi_assets' FROM pg_namespace WHERE nspname = 'taxi_assets'
    UNION ALL
    SELECT pg_get_userbyid(relowner)::text, 'TABLE', format('taxi_assets.%I', relname) FROM pg_class
    WHERE relnamespace = to_regnamespace('taxi_assets') AND relkind = 'r'
    UNION ALL
    SELECT pg_get_userbyid(proowner)::text, 'FUNCTION', oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = to_regnamespace('taxi_assets')
"""


@dataclass(frozen=True)
class Ledger:
    """A ledger's state.

    Attributes:
        version: Its revision.
        identity: Its identity, a UUID.
        migrated_by: The version of the code that migrated it last.
    """

    version: str
    identity: str
    migrated_by: str | None


def ledger_state(connection: Connection) -> Ledger | None:
    """The state of the ledger; None: it must be made or migrated from code without migrations first."""
    try:
        with connection.transaction():
            row = connection.execute(_STATE).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return Ledger(*row) if row else None


def ensure_ledger(connection: Connection, roles: bool) -> Ledger:
    """Makes the ledger, or migrates it to this code's version.

    Args:
        connection: A connection of the owner.
        roles: Whether the roles exist.

    Raises:
        TaxiError: A newer version of the code made it, or its owner must migrate it.
    """
    state = ledger_state(connection)
    if state is None or state.version != HEAD:
        with connection.transaction():
            lock(connection, "log")
            state = ledger_state(connection)
            if state is None or state.version != HEAD:
                _migrate(connection, state, roles)
        state = ledger_state(connection)
    if state is None:
        raise RuntimeError("the ledger is missing after its migration")
    return state


def _migrate(connection: Connection, state: Ledger | None, roles: bool) -> None:
    script = _script(state)
    (user, role) = connection.execute("SELECT session_user::text, current_user::text").fetchone() or ("", "")
    if not connection.execute("SELECT FROM pg_namespace WHERE nspname = 'taxi_assets'").rowcount:
        connection.execute("CREATE SCHEMA taxi_assets")
    connection.execute("RESET ROLE")
    owner = _become_owner(connection, user) if roles else user
    _hand_over(connection, user, owner)
    connection.execute(set_role(owner))
    connection.execute(script.encode())
    changed = "UPDATE taxi_assets.ledger SET migrated_by = %s, migrated_at = clock_timestamp()"
    connection.execute(changed, [revision()])
    if roles:
        names = {"owner": sql.Identifier(OWNER), "loader": sql.Identifier(LOADER), "reader": reader_roles(connection)}
        connection.execute(sql.SQL(_GRANTS).format(**names))
    connection.execute("RESET ROLE")
    if owner == LEDGER:
        connection.execute(_membership("REVOKE {} FROM {}", LEDGER, user))
    connection.execute(set_role(role))


def _script(state: Ledger | None) -> str:
    """The SQL from a version to this code's."""
    from alembic.command import upgrade
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    output = io.StringIO()
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("version_locations", "\n".join(map(str, VERSIONS)))
    config.set_main_option("path_separator", "newline")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if state is not None and state.version not in known:
        raise _newer(state)
    upgrade(config, f"{state.version}:{HEAD}" if state else HEAD, sql=True)
    again = "" if state else "DROP TABLE IF EXISTS taxi_assets.alembic_version;\n"
    return again + output.getvalue()


def _newer(state: Ledger) -> TaxiError:
    return TaxiError(
        "The ledger was migrated by a newer version of taxi_assets; this one does not write into it.",
        expected=f"version {HEAD} of the ledger, or an older one",
        found=f"version {state.version}, made by taxi_assets {state.migrated_by or 'of an unknown version'}",
        where="the schema taxi_assets",
        intact="every store and the ledger; this version still reads it",
        next_step="run the newer version, or update this checkout to it",
    )


def _become_owner(connection: Connection, user: str) -> str:
    """Makes the user a member of the ledger's owner until the end of the migration; returns the owner.

    Where an administrator made the roles, and kept that one, the ledger belongs to the owner of the tables.

    Raises:
        TaxiError: The ledger belongs to a role that the user cannot become.
    """
    try:
        with connection.transaction():
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [LEDGER]).rowcount:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(LEDGER)))
            connection.execute(_membership("GRANT {} TO {}", LEDGER, user))
            return LEDGER
    except psycopg.errors.InsufficientPrivilege:
        owners = {owner for owner, _, _ in connection.execute(_OWNED)}
    if LEDGER not in owners:
        return OWNER
    raise TaxiError(
        "The ledger must be migrated, and this user may not do it.",
        expected=f"a member of {LEDGER}, for the time of the migration",
        found=f"the user {user}, who may not create roles",
        where="the schema taxi_assets",
        intact="every store and the ledger",
        next_step=f"let an administrator run: GRANT {LEDGER} TO {user}; repeat this; then let the administrator run "
        f"{ROLES_FILE}, which takes the role away again",
    )


def _hand_over(connection: Connection, user: str, owner: str) -> None:
    """Gives the schema and what is in it to its owner: code without migrations left it to others."""
    owned = [row for row in connection.execute(_OWNED).fetchall() if row[0] != owner]
    for former in sorted({row[0] for row in owned}):
        if former != user:
            connection.execute(_membership("GRANT {} TO {}", owner, former))
            connection.execute(set_role(former))
        for _, kind, name in (row for row in owned if row[0] == former):
            change = f"ALTER {kind} {name} OWNER TO {{}}"
            connection.execute(sql.SQL(change).format(sql.Identifier(owner)))
        connection.execute("RESET ROLE")
        if former != user:
            connection.execute(_membership("REVOKE {} FROM {}", owner, former))


def _membership(statement: str, role: str, member: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(role), sql.Identifier(member))
