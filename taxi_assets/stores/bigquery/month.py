"""Replaces a month of trips and of rejected rows in BigQuery, in one transaction with the entry in the load log.

Load jobs bring the objects of both into staging tables, which are verified. Then one transaction makes sure that no
newer month of the lake is in the log, replaces both months, counts them and writes the log. The names of jobs and
staging tables come from the load's intent: see `intents`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.stores.bigquery.intents import Intent
from taxi_assets.stores.bigquery.replace import (
    Objects,
    begin_load,
    dropped,
    end_load,
    replacement,
    require_totals,
    run_transaction,
    transaction,
)
from taxi_assets.stores.bigquery.resource import BigQuerySession, totals
from taxi_assets.stores.bigquery.schema import LABELS
from taxi_assets.stores.table import Table, TableRef

if TYPE_CHECKING:
    from google.cloud import bigquery


@dataclass(frozen=True)
class Part:
    """Rows of a month, and the table that they go into."""

    table: Table
    objects: Objects


@dataclass(frozen=True)
class ReplacedMonth:
    """A replacement that is done, and its jobs: the load job is that of the kept rows."""

    load_job: bigquery.LoadJob
    replace_job: bigquery.QueryJob


def replacement_jobs(parts: int) -> int:
    """The jobs of `replace_month`: a load job for each part, the query that verifies them, the transaction."""
    return parts + 2


def load_id(part: Part, intent: Intent) -> str:
    """The id of the load job of these rows."""
    return f"taxi_load_{part.objects.job}_{intent.key}"


def replace_month(
    session: BigQuerySession,
    parts: Sequence[Part],
    month: date,
    intent: Intent,
    *,
    verify: Callable[[], None],
    first: str,
    last: Callable[[str], str],
) -> ReplacedMonth:
    """Replaces a month of tables, together.

    Args:
        session: Where the tables are; they exist.
        parts: The new rows of each; the kept ones come first.
        month: The month.
        intent: The recorded intent of this load.
        verify: Called after the load jobs: raises when the objects are others than before, or the intent is not the
            recorded one any more.
        first: The statement with which the transaction begins.
        last: Makes the statement with which it ends, from the id of the first load job.

    Raises:
        TaxiError: A load job failed, or BigQuery read other rows than `parts` declare; the tables are as they were.
        google.api_core.exceptions.GoogleAPICallError: BigQuery refused; the tables are as they were.
    """
    staging = [part.table.ref.with_suffix(f"_staging_{month:%Y%m}_{intent.key}") for part in parts]
    _sweep(session, staging)
    with dropped(session, *staging, resumed=True):
        jobs = _load(session, parts, staging, intent)
        verify()
        _verify_staging(session, parts, staging)
        statements = [first]
        for part, table in zip(parts, staging, strict=True):
            rows = part.objects
            select = f"SELECT {rows.select} FROM {table.bigquery}"  # noqa: S608
            statements += replacement(part.table, select, month, rows.rows, rows.cents)
        statements.append(last(str(jobs[0].job_id)))
        return ReplacedMonth(jobs[0], run_transaction(session, transaction(statements), intent.transactions))


def _sweep(session: BigQuerySession, staging: Sequence[TableRef]) -> None:
    """Removes what beaten and killed loads of the month left: staging tables of this platform alone."""
    from google.api_core.exceptions import NotFound

    prefixes = "|".join(re.escape(table.name.rpartition("_")[0]) for table in staging)
    names, place = {table.name for table in staging}, f"{staging[0].database}.{staging[0].namespace}"
    for item in session.client.list_tables(place, retry=session.retry):
        if re.fullmatch(f"({prefixes})_[0-9a-f]{{8,12}}", item.table_id) and item.table_id not in names:
            with suppress(NotFound):
                # The emulator lists tables without their labels.
                table = session.client.get_table(item.reference, retry=session.retry)
                if LABELS.items() <= table.labels.items():
                    session.client.delete_table(table, not_found_ok=True, retry=session.retry)


def _load(
    session: BigQuerySession, parts: Sequence[Part], staging: Sequence[TableRef], intent: Intent
) -> list[bigquery.LoadJob]:
    """Fills the staging tables by load jobs side by side."""
    pairs = zip(parts, staging, strict=True)
    jobs = [begin_load(session, part.objects, table, load_id(part, intent)) for part, table in pairs]
    for part, job in zip(parts, jobs, strict=True):
        end_load(session, part.objects, job)
    return jobs


def _verify_staging(session: BigQuerySession, parts: Sequence[Part], staging: Sequence[TableRef]) -> None:
    counts = [
        totals(part.objects.cents is not None).replace("SELECT", f"SELECT {number} AS part,") + f" {table.bigquery}"
        for number, (part, table) in enumerate(zip(parts, staging, strict=True))
    ]
    rows = sorted(session.query(" UNION ALL ".join(counts))[1], key=lambda row: int(row.part))
    for part, row in zip(parts, rows, strict=True):
        require_totals(part.objects, (row.trips, row.cents), part.table.ref)
