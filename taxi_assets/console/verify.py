"""`taxi verify`: every loaded month in every store, counted anew and held against its load log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taxi_assets.console.database import reader
from taxi_assets.console.screen import messages, table
from taxi_assets.pipelines import pipeline_of
from taxi_assets.stores.postgres_verify import Verified, verify_months
from taxi_assets.trips.months import month_name, parse_months

if TYPE_CHECKING:
    from rich.table import Table


def verify_loads(service: str | None, months: str | None) -> int:
    """Prints what differs; returns 1 if anything does.

    Raises:
        TaxiError: A service or month that is none; a store that cannot be reached.
    """
    if service:
        pipeline_of(service)
    wanted = parse_months(months) if months else None
    with reader() as connection:
        found = verify_months(connection, service, wanted)
    differing = [month for month in found if not month.agrees]
    if differing:
        messages().print("[bold red]What differs:[/]")
        messages().print(_table(differing))
    agreeing = len(found) - len(differing)
    messages().print(f"{agreeing} of {len(found)} loaded months agree with their load log, in rows and cents.")
    if not found:
        messages().print("Nothing is loaded yet: taxi run yellow --months 2021-01")
    return 1 if differing else 0


def _table(differing: list[Verified]) -> Table:
    numbers = ("rows logged", "rows found", "cents logged", "cents found")
    shown = table("store", "month", "where", *numbers, "next", right=numbers)
    for month in differing:
        entry = month.entry
        name = month_name(entry.source_month)
        counted = (entry.rows_kept, month.rows, entry.cents, month.cents)
        again = f"taxi run {entry.service} --months {name} --force"
        shown.add_row(
            entry.store, f"{entry.service} {name}", entry.place, *(f"{number:,}" for number in counted), again
        )
    return shown
