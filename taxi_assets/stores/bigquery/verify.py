"""Counts tables of BigQuery, kept and rejected rows, and compares them with the load log beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date
from typing import Any

from taxi_assets.stores.bigquery.resource import BigQuerySession, bigquery_session, totals
from taxi_assets.stores.bigquery.schema import REJECTED, log_table, value_in_sql
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.month import LoadEntry, VerifiedMonth
from taxi_assets.stores.record import TOKEN_KEY, order
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.columns import has_amounts

GENERATION = "generation"
"""The log's column with the version of the lake's manifest. Code that writes it writes the rejected rows, too."""

Counts = dict[date, tuple[int, int]]
"""Month → row count and cents."""

COUNT_JOBS = 1
"""The jobs of `count_month`, with which the checks of a month count in its table."""
_NONE = (0, 0)


def count_month(cloud: GoogleCloud, declared: TableRef, month: date) -> tuple[int, int]:
    """Row count of a month in its table, and whole cents of their `total_amount`; zeros where there is no table."""
    with bigquery_session(cloud, f"Counting {declared} in BigQuery", declared) as session:
        return (count_months(session, session.table(declared), [month]) or {}).get(month, _NONE)


def count_months(session: BigQuerySession, table: TableRef, months: Sequence[date] | None = None) -> Counts | None:
    """The row count and the cents of each month in a table, 0 cents where it has no amounts; None: there is no table.

    Args:
        session: Where the table is.
        table: The table, with its project.
        months: The months: only their partitions are read. None: all.
    """
    from google.api_core.exceptions import NotFound

    try:
        described = session.client.get_table(str(table), retry=session.retry)
        by_month = totals(has_amounts(described.schema)).replace("SELECT", "SELECT source_month,")
        rows = session.query(f"{by_month} {table.bigquery} {months_where(months)} GROUP BY source_month")[1]
        return {row[0]: (int(row[1]), int(row[2] or 0)) for row in rows}
    except NotFound:
        return None


def read_log(session: BigQuerySession, table: TableRef, months: Sequence[date] | None = None) -> dict[date, LoadEntry]:
    """The newest load of each month by the load log beside a table; empty where there is no log."""
    from google.api_core.exceptions import NotFound

    try:
        rows = [dict(row.items()) for row in session.query(log_query(table, months))[1]]
    except NotFound:
        return {}
    return newest_loads(rows)


def log_query(table: TableRef, months: Sequence[date] | None = None) -> str:
    """The query for the loads of a table in the load log beside it; None: of all months."""
    here = f"store = 'bigquery' AND place = {value_in_sql(table.in_database)}"
    return f"SELECT * FROM {log_table(table).bigquery} {months_where(months)} AND {here}"  # noqa: S608


def newest_loads(rows: Iterable[Mapping[str, Any]]) -> dict[date, LoadEntry]:
    """The newest load of each month among these rows of a load log."""
    return {entry.source_month: entry for entry in sorted(map(_entry, rows), key=order)}


def verify_months(
    cloud: GoogleCloud, pipeline: str, declared: TableRef, months: Sequence[date] | None = None
) -> list[VerifiedMonth]:
    """Every month that is in a table, in its table of rejected rows or in its load log, counted; None: all months."""
    with bigquery_session(cloud, f"Counting {declared} in BigQuery", declared) as session:
        table = session.table(declared)
        log = read_log(session, table, months)
        kept, rejected = (count_months(session, each, months) for each in (table, table.with_suffix(REJECTED)))
    found = {*log, *(kept or {}), *(rejected or {})}
    gone = [str(each) for each, counts in ((table, kept), (table.with_suffix(REJECTED), rejected)) if counts is None]
    return [
        _verified(
            pipeline, table, month, log.get(month), (kept or {}).get(month, _NONE), (rejected or {}).get(month), gone
        )
        for month in sorted(found)
    ]


def _verified(
    pipeline: str,
    table: TableRef,
    month: date,
    entry: LoadEntry | None,
    kept: tuple[int, int],
    rejected: tuple[int, int] | None,
    gone: Sequence[str],
) -> VerifiedMonth:
    if entry is None:
        return VerifiedMonth("bigquery", pipeline, month, table.in_database, None, kept, None, rejected)
    if rejected is None and not keeps_rejected(entry):
        return VerifiedMonth.of(entry, kept, None, tuple(name for name in gone if not name.endswith(REJECTED)))
    return VerifiedMonth.of(entry, kept, rejected or _NONE, tuple(gone))


def keeps_rejected(entry: LoadEntry) -> bool:
    """Whether that load wrote the rejected rows, too: older code did not."""
    return TOKEN_KEY in entry.configuration and entry.rows_rejected > 0


def months_where(months: Sequence[date] | None) -> str:
    """The condition for rows of these months; None: of all."""
    if months is None:
        return "WHERE TRUE"
    return f"WHERE source_month IN ({', '.join(value_in_sql(month) for month in months)})"


def _entry(row: Mapping[str, Any]) -> LoadEntry:
    """A row of the load log; columns that this code does not know are left out, missing ones are null."""
    known = {item.name: row[item.name] for item in fields(LoadEntry) if item.name in row}
    for name in ("rejected", "configuration"):
        known[name] = json.loads(known.get(name) or "{}")
    if row.get(GENERATION):
        known["configuration"][TOKEN_KEY] = row[GENERATION]
    return LoadEntry(**known)
