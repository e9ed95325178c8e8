"""What is checked of a cleaned month, as plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc
from pyarrow import csv

from taxi_assets.trips.columns import Service
from taxi_assets.trips.rules import Rule, matching_rules
from taxi_assets.trips.summary import Summary
from taxi_assets.trips.table import TripTable


def rule_violations(table: TripTable, rules: Sequence[Rule]) -> int:
    """How many rows of a table fit a rule that should have rejected them: reads the file anew, those columns alone."""
    columns = sorted({rule.column for rule in rules})
    return sum(pc.count(matching_rules(batch, rules)).as_py() for batch in table.batches(columns=columns))


def unknown_vendors(summary: Summary, service: Service) -> list[str]:
    """The vendors among the kept rows that the TLC does not define; a missing one is none."""
    defined = {str(value) for value in service.column("vendor_id").values} | {"null"}
    return [vendor for vendor in summary.vendors if vendor not in defined]


def unknown_zones(table: TripTable, lookup: Path) -> list[int]:
    """The zone ids of pickups and dropoffs that the TLC's zone lookup does not have, in order; missing ids are none.

    Args:
        table: The trips.
        lookup: The file `taxi_zone_lookup.csv`, with a column `LocationID`.
    """
    known = set(csv.read_csv(lookup).column("LocationID").to_pylist())
    found: set[int] = set()
    for batch in table.batches(columns=["pu_location_id", "do_location_id"]):
        for column in batch.columns:
            found.update(pc.unique(column).drop_null().to_pylist())
    return sorted(found - known)
