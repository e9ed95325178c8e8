"""`taxi sql` and `taxi bq`: one query, printed as a table or as CSV."""

from __future__ import annotations

import csv as csv_format
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from taxi_assets.cli.database import reader
from taxi_assets.settings import settings

SHOWN_ROWS = 1000


def query_postgres(query: str, *, csv: bool) -> None:
    """Queries PostgreSQL in a transaction that can only read.

    Raises:
        TaxiError: The query or the database refuses.
    """
    with reader() as connection, connection.cursor() as cursor:
        # Prepared, since several statements in one text could leave the transaction that only reads.
        cursor.execute(query.encode(), prepare=True)
        names = [column.name for column in cursor.description or ()]
        print_rows(names, cursor if names else (), csv=csv)


def query_bigquery(query: str, *, csv: bool) -> None:
    """Queries BigQuery, which refuses a query that would bill more bytes than BIGQUERY_MAX_BYTES_BILLED.

    Raises:
        TaxiError: The query is wrong, not permitted or too expensive, or BigQuery cannot be reached.
    """
    from taxi_assets.stores.bigquery.query import query as bigquery_query
    from taxi_assets.stores.google.cloud import GoogleCloud

    cloud = GoogleCloud.from_settings(settings())
    with bigquery_query(cloud, query, settings().bigquery_max_bytes_billed) as answer:
        print_rows(answer.columns, answer.rows, csv=csv)


def print_rows(names: Sequence[str], rows: Iterable[Sequence[Any]], *, csv: bool) -> None:
    """Prints rows to the standard output: as CSV, as the single value, or as a table of at most 1000 rows."""
    if csv:
        writer = csv_format.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows(rows)
        return
    first = list(islice(rows, SHOWN_ROWS + 1))
    if len(names) == len(first) == 1:
        print("" if first[0][0] is None else first[0][0])
        return
    from taxi_assets.cli.screen import console, escaped, messages, table

    printed = table(*(escaped(name) for name in names))
    for row in first[:SHOWN_ROWS]:
        printed.add_row(*("" if value is None else escaped(str(value)) for value in row))
    console(sys.stdout).print(printed)
    if len(first) > SHOWN_ROWS:
        messages().print(f"The first {SHOWN_ROWS:,} rows; --csv prints all.")
