"""`taxi log`: the load log, newest load first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from taxi_assets.cli.broken_files import show_broken_files
from taxi_assets.cli.database import reader
from taxi_assets.cli.results import Format, print_rows
from taxi_assets.pipelines import pipeline_for
from taxi_assets.stores.postgres.load_log import log_exists
from taxi_assets.trips.months import parse_months

_QUERY = """
    SELECT loaded_at, started_by, coalesce(to_jsonb(load) ->> 'pipeline', service),
           to_char(source_month, 'YYYY-MM'), store, place,
           rows_read, rows_kept, rows_rejected, url, sha256,
           configuration ->> 'code', code_version, configuration - 'code', run_id
    FROM taxi_assets.load_log AS load
    WHERE (%(pipeline)s::text IS NULL OR coalesce(to_jsonb(load) ->> 'pipeline', service) = %(pipeline)s)
      AND (%(months)s::date[] IS NULL OR source_month = ANY(%(months)s))
    ORDER BY id DESC
"""
_NAMES = [
    *("when", "started by", "pipeline", "month", "store", "where", "read", "kept", "rejected"),
    *("file", "sha256", "code", "cleaning", "configuration", "run"),
]
_OPTIONAL = ["run", "configuration", "cleaning", "code", "sha256", "file", "where", "started by", "read"]
"""What a narrow terminal has no room for, the first first; of the rows read, those kept and rejected remain."""
_SHORT = 12
_INTERNAL = ("ledger", "token")
"""What tells one home and one load from another: it says nothing to a person."""


def show_log(pipeline: str | None, months: str | None, form: Format) -> int:
    """Prints the loads; CSV and JSON have checksums and run numbers in full.

    Without a name, it also prints what is wrong with broken files, and returns 1 if there is one; else 0.

    Raises:
        TaxiError: The pipeline or the month is none; the database cannot be reached.
    """
    parameters: dict[str, Any] = {
        "pipeline": pipeline_for(pipeline).name if pipeline else None,
        "months": parse_months(months) if months is not None else None,
    }
    with reader() as connection:
        rows = connection.execute(_QUERY, parameters) if log_exists(connection) else ()
        if form is Format.JSON:
            print_rows([name.replace(" ", "_") for name in _NAMES], rows, form)
        else:
            print_rows(_NAMES, (_cells(row, full=form is Format.CSV) for row in rows), form, _OPTIONAL)
    return 0 if pipeline else show_broken_files()


def _cells(row: Sequence[Any], full: bool) -> list[str]:
    return [_cell(value, full) for value in row]


def _cell(value: Any, full: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        shown = value if full else {name: value[name] for name in value if name not in _INTERNAL}
        return json.dumps(shown, sort_keys=True) if shown else ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    text = str(value)
    return text if full or len(text) < 3 * _SHORT or " " in text or "/" in text else text[:_SHORT]
