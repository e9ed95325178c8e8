"""The outcome of each month of a run over several, and their summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from taxi_assets.cli.results import print_table
from taxi_assets.cli.screen import escaped, messages, show_error
from taxi_assets.sources.errors import NotPublished
from taxi_assets.trips.months import month_name


class Status(StrEnum):
    """The status of a month when the command ends; `left` is begun, but not over."""

    LOADED = "loaded"
    FAILED = "failed"
    CANCELED = "canceled"
    LEFT = "left"
    NOT_BEGUN = "not begun"
    NOT_PUBLISHED = "not published"


_MARKS = {Status.FAILED: "[bold red]failed[/]", Status.NOT_PUBLISHED: "not published"}


@dataclass(frozen=True)
class Outcome:
    """The status of a month, with the reason in a line if it is not loaded."""

    status: Status
    reason: str = ""


def print_unloaded(outcomes: Mapping[date, Outcome]) -> None:
    """Prints a line with the reason for each month that is not loaded."""
    unloaded = {month: outcome for month, outcome in outcomes.items() if outcome.status != Status.LOADED}
    if not unloaded:
        return
    rows = []
    for month, outcome in sorted(unloaded.items()):
        mark = _MARKS.get(outcome.status, "left")
        rows.append([month_name(month), mark, escaped(outcome.reason or outcome.status)])
    messages().print()
    print_table(["month", "status", "why"], rows, prose="why", out=messages())
    messages().print("The same command again does what is missing, and nothing twice.")


def print_interrupted(outcomes: Mapping[date, Outcome]) -> None:
    """Prints the one line of an interrupted command."""
    if len(outcomes) == 1:
        text = "the run is canceled; every store has the month as it was, or whole."
    else:
        loaded, canceled = count(outcomes, Status.LOADED), count(outcomes, Status.CANCELED)
        left = len(outcomes) - loaded - canceled
        text = f"{loaded} loaded, {canceled} canceled, {left} left; the same command goes on."
    messages().print(f"Interrupted: {text}", soft_wrap=True)


def count(outcomes: Mapping[date, Outcome], *statuses: Status) -> int:
    """The number of months with one of these statuses."""
    return sum(outcome.status in statuses for outcome in outcomes.values())


def print_absent(absent: Mapping[date, NotPublished]) -> None:
    """Prints which months are not published: one with all details, several with a line each."""
    for error in absent.values():
        if len(absent) == 1:
            show_error(error)
        else:
            text = f"{error.summary.removesuffix('.')}: {error.details['Found']}"
            messages().print(text, markup=False, soft_wrap=True)
