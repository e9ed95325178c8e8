"""`taxi sql` and `taxi bq`: one query; a table for people, CSV for machines."""

from __future__ import annotations

import csv as csv_format
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from taxi_assets.cli.database import reader
from taxi_assets.settings import settings

SHOWN_ROWS = 1000


def ask_postgres(query: str, *, csv: bool) -> None:
    """Asks PostgreSQL in a transaction that can only read.

    Raises:
        TaxiError: The query or the database refuses.
    """
    with reader() as connection, connection.cursor() as cursor:
        # Prepared, because a text of several statements could leave the transaction that only reads.
        cursor.execute(query.encode(), prepare=True)
        names = [column.name for column in cursor.description or ()]
        show(names, cursor if names else (), csv=csv)


def ask_bigquery(query: str, *, csv: bool) -> None:
    """Asks BigQuery, which refuses a query that would bill more bytes than BIGQUERY_MAX_BYTES_BILLED.

    Raises:
        TaxiError: The query is wrong, not permitted or too dear, or BigQuery cannot be reached.
    """
    from taxi_assets.stores.bigquery.query import query as bigquery_query
    from taxi_assets.stores.google.resource import GoogleCloud

    cloud = GoogleCloud.from_settings(settings())
    with bigquery_query(cloud, query, settings().bigquery_max_bytes_billed) as answer:
        show(answer.columns, answer.rows, csv=csv)


def show(names: Sequence[str], rows: Iterable[Sequence[Any]], *, csv: bool) -> None:
    """Prints rows to the standard output: as CSV, a single value as it is, or a table of at most 1000 rows."""
    if csv:
        writer = csv_format.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows(rows)
        return
    found = list(islice(rows, SHOWN_ROWS + 1))
    if len(names) == len(found) == 1:
        print("" if found[0][0] is None else found[0][0])
        return
    from taxi_assets.cli.screen import console, escaped, messages, table

    shown = table(*(escaped(name) for name in names))
    for row in found[:SHOWN_ROWS]:
        shown.add_row(*("" if value is None else escaped(str(value)) for value in row))
    console(sys.stdout).print(shown)
    if len(found) > SHOWN_ROWS:
        messages().print(f"The first {SHOWN_ROWS:,} rows; --csv prints all.")
