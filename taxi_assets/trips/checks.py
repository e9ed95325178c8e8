"""What is checked of a cleaned month, as plain functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow.compute as pc

from taxi_assets.trips.columns import Column
from taxi_assets.trips.reject import Rule
from taxi_assets.trips.table import TripTable


def broken_rows(table: TripTable, rules: Sequence[Rule]) -> dict[str, int]:
    """Rows of a table that rules reject, by reason: reads the file anew. A row counts for each rule it breaks.

    Returns:
        The reasons that occur; empty for a table that breaks no rule.
    """
    counts = dict.fromkeys((rule.reason for rule in rules), 0)
    for batch in table.batches(columns=sorted({rule.column for rule in rules})):
        for rule in rules:
            counts[rule.reason] += pc.sum(rule.fits(batch), min_count=0).as_py()
    return {reason: rows for reason, rows in counts.items() if rows}


def newcomers(counts: Mapping[str, int], column: Column) -> dict[str, int]:
    """Those of the counted values that the TLC does not define for a column, with their rows; `null` is none."""
    defined = {str(value) for value in column.values} | {"null"}
    return {value: rows for value, rows in counts.items() if value not in defined}
