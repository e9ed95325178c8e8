"""The months that are loaded, by the ledger and the stores' own records, and whether the source has the same files.

A store's record is the truth about the store: what the ledger names and the store has lost is not loaded, and what the
store has is loaded, also if a run was killed before it wrote the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.automation.records import Records, cloud_records, postgres_records
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.settings import settings
from taxi_assets.sources.layouts import LayoutName
from taxi_assets.sources.record import Published
from taxi_assets.sources.source import TripSource
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.connection import postgres_address
from taxi_assets.stores.postgres.load_log import latest_loads, ledger_identity, write_missing
from taxi_assets.stores.record import EARLIER, StoreRecord, is_newer, ledger_of

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


@dataclass(frozen=True)
class MonthSelection:
    """Months of a pipeline in some of its stores; with `trial`, the trials of the months."""

    pipeline: PipelineSpec
    stores: Sequence[str]
    months: Sequence[date]
    trial: bool = False


@dataclass(frozen=True)
class Loaded:
    """The newest load of one month in each of the wanted stores that have it.

    Attributes:
        loads: One a store.
        missing: The wanted stores that do not have the month.
        lost: The stores of these that had it by the ledger → what they lack, in words.
        unwritten: Loads of this home that a store has and the ledger lacks.
        outdated: Whether a load was made by other rules or columns than today's.
    """

    loads: Sequence[LoadEntry]
    missing: Sequence[str]
    lost: Mapping[str, str] = field(default_factory=dict)
    unwritten: Sequence[LoadEntry] = ()
    outdated: bool = False

    @property
    def newest(self) -> LoadEntry | None:
        """The load that happened last."""
        return max(self.loads, key=lambda load: (load.id is None, load.id or 0), default=None)

    @property
    def file(self) -> Published | None:
        """The file of that load, as its source described it."""
        load = self.newest
        if load is None or load.url is None:
            return None
        layout: LayoutName = "parquet" if load.url.endswith(".parquet") else "csv"
        return Published(load.url, layout, load.etag, load.last_modified, load.source_bytes)

    def is_from(self, file: Published) -> bool:
        """Whether every wanted store has the month from this version of its file."""
        return not self.missing and self.has_loads_of(file)

    def has_loads_of(self, file: Published) -> bool:
        """Whether the stores that have the month have it from this version of its file."""
        return all(_is_from(load, file) for load in self.loads)


def _is_from(load: LoadEntry, file: Published) -> bool:
    if load.url != file.url or file.bytes not in (None, load.source_bytes):
        return False
    if load.etag and file.etag:
        return load.etag == file.etag
    return load.last_modified == file.last_modified


def entries(connection: Connection, wanted: MonthSelection) -> list[LoadEntry]:
    """The newest load of each month in each store, oldest month first."""
    pipeline = wanted.pipeline
    newest = latest_loads(connection, pipeline=pipeline.name, months=list(wanted.months))
    selected = (
        entry
        for entry in newest
        if entry.store in wanted.stores
        and entry.place == pipeline.location(entry.store, entry.source_month, trial=wanted.trial)
    )
    return sorted(selected, key=lambda entry: (entry.source_month, entry.store))


def loaded(
    connection: Connection,
    wanted: MonthSelection,
    *,
    newest: Sequence[LoadEntry] | None = None,
    whole: bool = False,
) -> dict[date, Loaded]:
    """Month → its loads, trials left out.

    Args:
        connection: A connection of the reader.
        wanted: The months; stores are asked for those of them that the ledger knows.
        newest: The ledger's `entries` of them; None: they are read.
        whole: Whether only months matter that every store has. PostgreSQL's record is the ledger: a month that it lacks
            there is not asked for in the other stores.

    Raises:
        TaxiError: A store does not answer: nothing is known then.
    """
    newest = entries(connection, wanted) if newest is None else newest
    full = [entry for entry in newest if not entry.configuration.get("limit")]
    ledger = {(entry.store, entry.source_month): entry for entry in full}
    identity = ledger_identity(connection)
    needed = {"postgres"} & set(wanted.stores) if whole else set()
    known = {month for _, month in ledger if all((store, month) in ledger for store in needed)}
    records = _records(connection, wanted, full, known)
    found = {
        month: [_found(store, ledger.get((store, month)), records[store].get(month), identity) for store in records]
        for month in wanted.months
    }
    return {month: _loaded(wanted.pipeline, each) for month, each in found.items()}


def _records(
    connection: Connection, wanted: MonthSelection, full: Sequence[LoadEntry], months: Collection[date]
) -> dict[str, Records]:
    """Store → its record. The stores are asked side by side; BigQuery, which takes longest, begins."""
    with ThreadPoolExecutor(len(wanted.stores), "records") as pool:
        asked = {
            store: pool.submit(cloud_records, wanted.pipeline, store, months)
            for store in ("bigquery", "lake")
            if store in wanted.stores
        }
        postgres = postgres_records(connection, full) if "postgres" in wanted.stores else {}
        return {store: asked[store].result() if store in asked else postgres for store in wanted.stores}


def outdated_months(connection: Connection, pipeline: PipelineSpec, stores: Sequence[str]) -> list[date]:
    """The months whose newest load in a store, by the ledger, was cleaned by other rules or columns than today's."""
    loads = [entry for store in stores for entry in latest_loads(connection, store=store, pipeline=pipeline.name)]
    months = {
        load.source_month
        for load in loads
        if load.place == pipeline.location(load.store, load.source_month)
        and load.code_version != pipeline.version
        and not load.configuration.get("limit")
    }
    return sorted(months)


@dataclass(frozen=True)
class _Found:
    store: str
    load: LoadEntry | None = None
    lost: str = ""
    unwritten: bool = False


def _found(store: str, ledger: LoadEntry | None, record: StoreRecord | None, identity: str | None) -> _Found:
    """What a store has of a month."""
    if record is None:
        return _Found(store, lost=f"{ledger.place} has no record of it" if ledger else "")
    if record.lost:
        return _Found(store, lost=record.lost)
    if ledger is not None and record.is_load(ledger):
        return _Found(store, ledger)
    ours = ledger_of(record.entry.configuration) == identity
    if ours and not is_newer(record.entry, ledger):
        return _Found(store, lost=f"it holds {EARLIER}")
    return _Found(store, record.entry, unwritten=ours)


def _loaded(pipeline: PipelineSpec, found: Sequence[_Found]) -> Loaded:
    loads = [one.load for one in found if one.load]
    month = [replace(load, place=pipeline.location(load.store, load.source_month)) for load in loads]
    return Loaded(
        loads=month,
        missing=[one.store for one in found if not one.load],
        lost={one.store: one.lost for one in found if one.lost},
        unwritten=[load for load, one in zip(month, (one for one in found if one.load), strict=True) if one.unwritten],
        outdated=any(load.code_version != pipeline.version for load in loads),
    )


@dataclass(frozen=True)
class KnownMonth:
    """A month that every store has, cleaned by today's rules, and whose file the source has now.

    Attributes:
        loads: Its loads, one a store.
        unchanged: Whether they are of the version that the source has.
    """

    loads: Sequence[LoadEntry]
    unchanged: bool


def known_months(
    connection: Connection, source: TripSource, wanted: MonthSelection, newest: Sequence[LoadEntry]
) -> dict[date, KnownMonth]:
    """The months that are known at their source and in every store.

    Adds to the ledger what a store has and the ledger lacks.

    Args:
        connection: A connection of the reader.
        source: The source.
        wanted: The months.
        newest: The ledger's `entries` of them.

    Raises:
        TaxiError: The source, the database or a store does not answer.
    """
    found = {}
    for month, loads in loaded(connection, wanted, newest=newest, whole=True).items():
        if loads.unwritten:
            write_missing(postgres_address(settings()), loads.unwritten)
        if not loads.missing and not loads.outdated:
            published = source.probe(wanted.pipeline.service, month, known=loads.file)
            if published:
                found[month] = KnownMonth(loads.loads, loads.is_from(published))
    return found
