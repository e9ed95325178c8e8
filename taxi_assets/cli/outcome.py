"""How each month of several ended, and the summary of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from taxi_assets.cli.screen import escaped, messages, table
from taxi_assets.trips.months import month_name

End = Literal["loaded", "failed", "left"]


@dataclass(frozen=True)
class Outcome:
    """How a month ended.

    Attributes:
        end: `loaded`, `failed`, or `left`: not begun, or not over when this command ended.
        why: The reason of one that is not loaded, in a line.
    """

    end: End
    why: str = ""


def summary(outcomes: Mapping[date, Outcome]) -> None:
    """Prints a line for each month that is not loaded, with the reason."""
    rest = {month: outcome for month, outcome in outcomes.items() if outcome.end != "loaded"}
    if not rest:
        return
    shown = table("month", "", "why")
    for month, outcome in sorted(rest.items()):
        mark = "[bold red]failed[/]" if outcome.end == "failed" else "left"
        shown.add_row(month_name(month), mark, escaped(outcome.why))
    messages().print()
    messages().print(shown)
    messages().print("The same command again does what is missing, and nothing twice.")


def count(outcomes: Mapping[date, Outcome], end: End) -> int:
    """How many months ended like that."""
    return sum(outcome.end == end for outcome in outcomes.values())
