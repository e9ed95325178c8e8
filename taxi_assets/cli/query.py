"""`taxi sql` and `taxi bq`: one query that reads, printed as a table, CSV or JSON."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.string import TextLoader

from taxi_assets.cli.database import reader
from taxi_assets.cli.results import Format, print_csv_columns, print_rows
from taxi_assets.errors import UsageError
from taxi_assets.settings import settings

if TYPE_CHECKING:
    from psycopg.abc import AdaptContext, Buffer
    from psycopg.rows import TupleRow

    from taxi_assets.stores.postgres.connection import Connection

_PAGE = 1000
"""Rows of an answer that are in memory at once."""
_SHOWN_CHARACTERS = 200
_PYTHON_LACKS = ("date", "timestamp", "timestamptz", "time", "timetz")
"""PostgreSQL's types that have values which Python's lack, as `infinity`, years beyond 9999 and `24:00`."""


def query_postgres(query: str, form: Format) -> None:
    """Queries PostgreSQL in a transaction that can only read.

    Raises:
        UsageError: It is no query, several, or one that writes.
        TaxiError: The query or the database refuses.
    """
    with reader() as connection:
        _load_all_values(connection)
        names = _columns(connection, query)
        # Streamed by the extended protocol, which takes one statement: several in one text could leave the transaction
        # that only reads.
        with connection.cursor() as cursor, closing(_stream(cursor, query)) as rows:
            try:
                print_rows(names, rows, form)
            except psycopg.errors.ReadOnlySqlTransaction as error:
                raise _refused("`taxi sql` runs one query that reads, and this is none.", _message(error)) from None


def _load_all_values(connection: Connection) -> None:
    """Lets values that Python lacks be texts; an interval always is: Python's has no months."""
    connection.adapters.register_loader("interval", TextLoader)
    for name in _PYTHON_LACKS:
        _load_or_text(connection, name)


def _load_or_text(connection: Connection, type_name: str) -> None:
    known = connection.adapters.get_loader(connection.adapters.types[type_name].oid, psycopg.pq.Format.TEXT)

    class OrText(psycopg.adapt.Loader):
        """Loads a value, or its text."""

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._load = known(oid, context).load if known else bytes

        def load(self, data: Buffer) -> Any:
            try:
                return self._load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    connection.adapters.register_loader(type_name, OrText)


def _stream(cursor: psycopg.Cursor[TupleRow], query: str) -> Generator[TupleRow]:
    yield from cursor.stream(query.encode(), size=_PAGE)


def _columns(connection: Connection, query: str) -> list[str]:
    """The names of the query's columns, before it runs."""
    server = connection.pgconn
    for answer in (server.prepare(b"", query.encode()), server.describe_prepared(b"")):
        if answer.status != psycopg.pq.ExecStatus.COMMAND_OK:
            error = psycopg.errors.error_from_result(answer)
            if "multiple commands" in str(error):
                raise _refused("`taxi sql` runs one query, and these are several.", _message(error))
            raise error
    if not answer.nfields:
        raise _refused("`taxi sql` runs one query that reads, and this is none.", repr(query[:_SHOWN_CHARACTERS]))
    return [(answer.fname(number) or b"").decode() for number in range(answer.nfields)]


def _message(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)


def _refused(summary: str, found: str) -> UsageError:
    return UsageError(
        summary,
        expected="one statement that reads: SELECT, WITH, TABLE, VALUES, SHOW, EXPLAIN",
        found=found,
        intact="everything: nothing was changed",
    )


def query_bigquery(query: str, form: Format) -> None:
    """Queries BigQuery, which refuses a query that would bill more bytes than BIGQUERY_MAX_BYTES_BILLED.

    Raises:
        UsageError: It is no query, several, or one that writes.
        TaxiError: The query is wrong, not permitted or too expensive, or BigQuery cannot be reached.
    """
    from taxi_assets.stores.bigquery.query import query as bigquery_query
    from taxi_assets.stores.google.cloud import GoogleCloud

    cloud = GoogleCloud.from_settings(settings())
    with bigquery_query(cloud, query, settings().bigquery_max_bytes_billed, reading=True) as answer:
        if form is Format.CSV and answer.texts is not None:
            print_csv_columns(answer.columns, answer.texts)
        else:
            print_rows(answer.columns, answer.rows, form)
