"""The result of `taxi run`: the loads that stand in the stores, the reasons of rejected rows, the months."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from taxi_assets.cli.outcome import Outcome, Status, count, print_unloaded
from taxi_assets.cli.results import Format, print_document, print_table, standard_output
from taxi_assets.cli.screen import escaped, messages
from taxi_assets.settings import settings
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.table import TRIAL
from taxi_assets.trips.months import month_name

_COLUMNS = ("month", "store", "where", "read", "kept", "rejected", "seconds", "synthetic", "limit")
"""The columns of the CSV."""


@dataclass(frozen=True)
class RunResult:
    """What a run over months did.

    Attributes:
        pipeline: The pipeline.
        loads: The loads of the months in the stores.
        outcomes: Month → its outcome, of those that were run.
        loaded_already: The months that were loaded already from the same file.
        trial: Whether it was a trial.
        seconds: How long it took.
    """

    pipeline: str
    loads: Sequence[LoadEntry] = ()
    outcomes: Mapping[date, Outcome] = field(default_factory=dict)
    loaded_already: Sequence[date] = ()
    trial: bool = False
    seconds: float = 0.0

    @property
    def rejected(self) -> list[tuple[str, int]]:
        """The reasons of the rejected rows and how many rows each has, the most frequent first."""
        reasons: Counter[str] = Counter()
        for by_reason in {load.source_month: load.rejected for load in self.loads}.values():
            reasons.update(by_reason)
        return reasons.most_common()


def print_result(result: RunResult, form: Format) -> None:
    """Prints the result; the line that counts the months is a message."""
    if form is Format.TABLE:
        _print_loads(result)
    else:
        print_document(_document(result), map(_load, result.loads), form, _COLUMNS)
    if len(result.outcomes) > 1:
        print_unloaded(result.outcomes)
    if result.trial:
        schema = settings().postgres_schema or TRIAL
        messages().print(f"\nA trial: its rows stand in the schema {schema!r} of PostgreSQL.")
    loaded, failed = count(result.outcomes, Status.LOADED), count(result.outcomes, Status.FAILED)
    counts = [f"{loaded} loaded", f"{len(result.loaded_already)} loaded already", f"{failed} failed"]
    if absent := count(result.outcomes, Status.NOT_PUBLISHED):
        counts.append(f"{absent} not published")
    messages().print(f"\n{result.pipeline}: {', '.join(counts)}, in {result.seconds:.1f} s")


def _print_loads(result: RunResult) -> None:
    if not result.loads:
        return
    messages().print("\nIn the stores:")
    numbers = ("read", "kept", "rejected", "seconds")
    rows = []
    for load in result.loads:
        limit = load.configuration.get("limit")
        marks = ["synthetic"] if load.configuration.get("made_up") else []
        marks += [f"trial: {limit:,} rows"] if limit else []
        month = month_name(load.source_month) + (f" ({', '.join(marks)})" if marks else "")
        counts = [f"{number:,}" for number in (load.rows_read, load.rows_kept, load.rows_rejected)]
        seconds = "" if load.seconds is None else f"{load.seconds:.1f}"
        rows.append([month, load.store, *counts, seconds, load.place])
    if print_table(
        ["month", "store", *numbers, "where"], rows, right=numbers, sparse=True, optional=["where", "seconds"]
    ):
        for store, places in _places(result.loads).items():
            standard_output().print(f"{store}: {', '.join(places)}", markup=False, soft_wrap=True)
    messages().print()
    reasons = [[escaped(reason), f"{number:,}"] for reason, number in result.rejected if number]
    print_table(["rejected because", "rows"], reasons, right=("rows",))


def _places(loads: Sequence[LoadEntry]) -> dict[str, list[str]]:
    """Store → where its loads are; objects that are named by their month share a name with `{month}` in it."""
    found: dict[str, dict[str, None]] = {}
    for load in loads:
        of_each = load.place.replace(month_name(load.source_month), "{month}")
        one = len({other.source_month for other in loads}) == 1
        found.setdefault(load.store, {})[load.place if one else of_each] = None
    return {store: list(places) for store, places in found.items()}


def _document(result: RunResult) -> dict[str, Any]:
    loaded = Outcome(Status.LOADED, "loaded already")
    outcomes = sorted({**dict.fromkeys(result.loaded_already, loaded), **result.outcomes}.items())
    return {
        "ok": all(outcome.status == Status.LOADED for outcome in result.outcomes.values()),
        "pipeline": result.pipeline,
        "trial": result.trial,
        "seconds": round(result.seconds, 3),
        "months": [
            {"month": month_name(month), "status": outcome.status, "reason": outcome.reason or None}
            for month, outcome in outcomes
        ],
        "loads": list(map(_load, result.loads)),
        "rejected": [{"reason": reason, "rows": number} for reason, number in result.rejected],
    }


def _load(load: LoadEntry) -> dict[str, Any]:
    return {
        "month": month_name(load.source_month),
        "store": load.store,
        "where": load.place,
        "read": load.rows_read,
        "kept": load.rows_kept,
        "rejected": load.rows_rejected,
        "seconds": load.seconds,
        "synthetic": bool(load.configuration.get("made_up")),
        "limit": load.configuration.get("limit"),
    }
