"""`taxi log`: who or what loaded each month into each store, from which file, with which code, when; newest first."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from taxi_assets.cli.database import reader
from taxi_assets.cli.query import show
from taxi_assets.pipeline import pipeline_for
from taxi_assets.trips.months import parse_months

_QUERY = """
    SELECT loaded_at, started_by, service, to_char(source_month, 'YYYY-MM'), store, place,
           rows_read, rows_kept, rows_rejected, url, sha256,
           configuration ->> 'code', code_version, configuration - 'code', run_id
    FROM taxi_assets.load_log
    WHERE (%(service)s::text IS NULL OR service = %(service)s)
      AND (%(months)s::date[] IS NULL OR source_month = ANY(%(months)s))
    ORDER BY id DESC
"""
_NAMES = [
    *("when", "started by", "service", "month", "store", "where", "read", "kept", "rejected"),
    *("file", "sha256", "code", "cleaning", "configuration", "run"),
]
_SHORT = 12


def show_log(service: str | None, months: str | None, *, csv: bool) -> None:
    """Prints the loads; CSV has checksums and run numbers in full.

    Raises:
        TaxiError: A service or month that is none; the database cannot be reached.
    """
    wanted: dict[str, Any] = {
        "service": pipeline_for(service).service if service else None,
        "months": parse_months(months) if months else None,
    }
    with reader() as connection:
        if connection.execute("SELECT to_regclass('taxi_assets.load_log')").fetchone() == (None,):
            show(_NAMES, [], csv=csv)
            return
        show(_NAMES, ([_shown(value, csv) for value in row] for row in connection.execute(_QUERY, wanted)), csv=csv)


def _shown(value: Any, full: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True) if value else ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    text = str(value)
    return text if full or len(text) < 3 * _SHORT or " " in text or "/" in text else text[:_SHORT]
