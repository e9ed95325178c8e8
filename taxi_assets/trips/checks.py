"""What is checked of a cleaned month, as plain functions."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from taxi_assets.trips.columns import Service
from taxi_assets.trips.reject import Rule, first_fits
from taxi_assets.trips.summary import Summary
from taxi_assets.trips.table import TripTable


def broken_rows(table: TripTable, rules: Sequence[Rule]) -> int:
    """How many rows of a table fit a rule that should have rejected them: reads the file anew, those columns alone."""
    columns = sorted({rule.column for rule in rules})
    return sum(pc.count(first_fits(batch, rules)).as_py() for batch in table.batches(columns=columns))


def newcomers(summary: Summary, service: Service) -> list[str]:
    """The vendors among the kept rows that the TLC does not define; a missing one is none."""
    defined = {str(value) for value in service.column("vendor_id").values} | {"null"}
    return [vendor for vendor in summary.vendors if vendor not in defined]
