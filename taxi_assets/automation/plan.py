"""What a run of months would do, found out by reading alone: what it fetches, loads, skips, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from math import log2
from statistics import median
from typing import TYPE_CHECKING, Any

from taxi_assets.automation.loaded import Loaded, MonthSelection, loaded
from taxi_assets.environment import Environment
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.settings import settings
from taxi_assets.sources.record import Published
from taxi_assets.sources.sample.newest import newest_month
from taxi_assets.sources.source import TripSource
from taxi_assets.stores.guard import HeldMonth, refuse_worse
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.held import held_months
from taxi_assets.stores.postgres.load_log import latest_loads
from taxi_assets.stores.postgres.schema import tables
from taxi_assets.stores.table import postgres_table
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


_NEAREST = 5
"""So many loads tell how long one of their size takes."""


class Step(StrEnum):
    """What becomes of a month."""

    LOAD = "load"
    SKIP = "skip"
    ABSENT = "not published"


@dataclass(frozen=True)
class PlannedMonth:
    """What a run would do with a month.

    Attributes:
        month: The month.
        step: What becomes of it.
        reasons: Why.
        file: The address of its file; None: nothing is published, or it would be generated.
        bytes: Bytes to fetch, 0 where the newest version is on this machine; None: not known.
        jobs: Jobs in BigQuery.
        seconds: How long the stores took for such a month, by the load log; None: it does not say.
    """

    month: date
    step: Step
    reasons: Sequence[str]
    file: str | None = None
    bytes: int | None = 0
    jobs: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        pipeline: The pipeline.
        source: The address of the source, or `sample`.
        places: Store → where the months go, with server, service or project.
        months: The months, oldest first.
        measured: The number of loads that the seconds are estimated from.
    """

    pipeline: str
    source: str
    places: Mapping[str, str]
    months: Sequence[PlannedMonth]
    measured: int

    def of(self, step: Step) -> list[PlannedMonth]:
        """The months that become that."""
        return [month for month in self.months if month.step is step]

    @property
    def bytes(self) -> int | None:
        """Bytes to fetch; None: not known of every month."""
        sizes = [month.bytes for month in self.of(Step.LOAD)]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def jobs(self) -> int:
        """Jobs in BigQuery."""
        return sum(month.jobs for month in self.months)

    @property
    def seconds(self) -> float | None:
        """Seconds in the stores, one month after the other; None: not known of every month."""
        return _total([month.seconds for month in self.of(Step.LOAD)])

    def document(self) -> dict[str, Any]:
        """The plan as plain values, for JSON."""
        months = [{**asdict(month), "month": month_name(month.month)} for month in self.months]
        totals = {"bytes": self.bytes, "bigquery_jobs": self.jobs, "seconds": self.seconds}
        return {**asdict(self), "months": months, **totals}


@dataclass(frozen=True)
class Asked:
    """What a run is asked for, besides its months.

    Attributes:
        source: Opens the source. The sample source's server starts then.
        synthetic: Whether it is the sample source.
        name: The source that the run names instead of TAXI_SOURCE_URL.
        force: Whether loaded months are loaded again.
        limit: The rows of a trial; None: it is none.
    """

    source: Callable[[], TripSource]
    synthetic: bool
    name: str | None = None
    force: bool = False
    limit: int | None = None

    @property
    def again(self) -> bool:
        """Whether months are loaded, whatever the stores have."""
        return bool(self.force or self.limit)


def make_plan(connection: Connection | None, wanted: MonthSelection, asked: Asked) -> Plan:
    """Finds out what a run would do.

    Args:
        connection: A connection of the reader; None: there is no database yet, and nothing is loaded.
        wanted: The months.
        asked: What the run is asked for.

    Raises:
        TaxiError: The run would be refused; or the source, the database or a store does not answer.
    """
    pipeline, before = wanted.pipeline, _no_loads(wanted)
    log: list[LoadEntry] = []
    if connection:
        _refuse_worse(connection, wanted, asked)
        if not asked.again:
            before = loaded(connection, wanted)
        log = [load for load in latest_loads(connection, pipeline=pipeline.name) if load.seconds and load.rows_read]
    log = [load for load in log if load.store in wanted.stores]
    jobs = _month_jobs(pipeline) if "bigquery" in wanted.stores else 0
    months = [_planned(wanted, month, before[month], asked, jobs, log) for month in wanted.months]
    environment = Environment.here(asked.name)
    places = _places(environment, wanted, trial=bool(asked.limit))
    return Plan(pipeline.name, environment.source.address, places, months, len(log))


def _no_loads(wanted: MonthSelection) -> dict[date, Loaded]:
    return {month: Loaded((), wanted.stores) for month in wanted.months}


def _planned(
    wanted: MonthSelection, month: date, before: Loaded, asked: Asked, jobs: int, log: Sequence[LoadEntry]
) -> PlannedMonth:
    service = wanted.pipeline.service
    if asked.synthetic and (asked.again or before.missing):
        # Asking the sample source for a file would generate it.
        file, on_machine, published = None, False, month <= newest_month(date.today())
    else:
        source = asked.source()
        file = source.probe(service, month, known=before.file)
        on_machine = not asked.force and file is not None and source.has(service, month, file)
        published = file is not None
    if not published:
        return PlannedMonth(month, Step.ABSENT, ["the source has no file of it"])
    reasons = _reasons(before, file, asked)
    address = file.url if file else None
    if not reasons:
        return PlannedMonth(month, Step.SKIP, ["loaded already from the same file"], address)
    size = file.bytes if file else None
    rows = asked.limit or (settings().taxi_sample_rows if asked.synthetic else None)
    return PlannedMonth(
        month, Step.LOAD, reasons, address, 0 if on_machine else size, jobs, _seconds(log, wanted.stores, size, rows)
    )


def _reasons(before: Loaded, file: Published | None, asked: Asked) -> list[str]:
    """Why a month is loaded; empty: it is not."""
    if asked.again:
        return [f"a trial of {asked.limit:,} rows" if asked.limit else "forced"]
    lacking = [store for store in before.missing if store not in before.lost]
    reasons = []
    if not before.loads and not before.lost:
        reasons.append("not loaded yet")
    elif lacking:
        reasons.append(f"missing in {' and '.join(lacking)}")
    reasons += [f"lost in {store}: {what}" for store, what in before.lost.items()]
    if before.outdated:
        reasons.append("loaded by older rules or columns")
    if before.loads and file and not before.has_loads_of(file):
        reasons.append("its file changed")
    return reasons


def _refuse_worse(connection: Connection, wanted: MonthSelection, asked: Asked) -> None:
    """Refuses what the stores would refuse: by the rows of PostgreSQL, and elsewhere by the ledger.

    Raises:
        TaxiError: Synthetic trips would stand over or beside real ones, or a trial over a full month.
    """
    if asked.force or not (asked.synthetic or asked.limit):
        return
    pipeline = wanted.pipeline
    table = postgres_table(pipeline.postgres, settings().postgres_schema, trial=bool(asked.limit))
    log = latest_loads(connection, pipeline=pipeline.name)
    for store in wanted.stores:
        known = [load for load in log if load.store == store]
        held = [HeldMonth.of(load) for load in known if load.place == pipeline.location(store, load.source_month)]
        for month in wanted.months:
            place = str(table) if store == "postgres" else pipeline.location(store, month)
            entry = _entry_to_come(pipeline, store, month, place, asked)
            if store == "postgres":
                held = held_months(connection, entry, tables(pipeline.trips, table)[0])
            refuse_worse(entry, held)


def _entry_to_come(pipeline: PipelineSpec, store: str, month: date, place: str, asked: Asked) -> LoadEntry:
    options = {"made_up": asked.synthetic, "limit": asked.limit}
    return LoadEntry(
        store=store,
        service=pipeline.service,
        pipeline=pipeline.name,
        source_month=month,
        place=place,
        rows_read=asked.limit or 0,
        rows_kept=0,
        rows_rejected=0,
        cents=0,
        cents_rejected=0,
        configuration={name: value for name, value in options.items() if value},
    )


def _month_jobs(pipeline: PipelineSpec) -> int:
    from taxi_assets.stores.bigquery.load import MONTH_JOBS
    from taxi_assets.stores.bigquery.verify import COUNT_JOBS

    return MONTH_JOBS + COUNT_JOBS


def _seconds(log: Sequence[LoadEntry], stores: Sequence[str], size: int | None, rows: int | None) -> float | None:
    """The seconds that the stores need for a file of that size, or for so many rows, by the loads nearest in size."""
    parts: list[float | None] = []
    for store in stores:
        loads = [load for load in log if load.store == store]
        measured = [(load.rows_read if rows else load.source_bytes, load.seconds) for load in loads]
        parts.append(seconds_of(rows or size, [(amount, took) for amount, took in measured if amount and took]))
    return _total(parts)


def seconds_of(amount: int | None, measured: Sequence[tuple[int, float]]) -> float | None:
    """The seconds for an amount, by those of the nearest: a part of them does not grow with it."""
    if not amount or not measured:
        return None
    nearest = sorted(measured, key=lambda one: abs(log2(one[0] / amount)))[:_NEAREST]
    return median(took * amount / other for other, took in nearest)


def _total(values: Sequence[float | None]) -> float | None:
    """The sum; None where one of the values is not known."""
    return None if None in values else sum(value or 0.0 for value in values)


def _places(environment: Environment, wanted: MonthSelection, *, trial: bool) -> dict[str, str]:
    """Store → where the months go, with `{month}` where it names one of several."""
    services = {
        "postgres": f"{environment.postgres.server}, database {environment.postgres.database}",
        "lake": environment.lake.service,
        "bigquery": environment.bigquery.service,
    }
    places = {}
    for store in wanted.stores:
        place = wanted.pipeline.location(store, wanted.months[0], trial=trial)
        if len(wanted.months) > 1:
            place = place.replace(month_name(wanted.months[0]), "{month}")
        places[store] = f"{place} ({services[store]})"
    return places
