"""What is loaded: asked of the log of loads, and of the source whether it still has the same file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.pipeline import Pipeline, place
from taxi_assets.sources.layouts import LayoutName
from taxi_assets.sources.record import Published
from taxi_assets.sources.source import TripSource
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.load_log import latest_loads

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


@dataclass(frozen=True)
class MonthSelection:
    """Months of a pipeline that somebody wants in some of its stores."""

    pipeline: Pipeline
    stores: Sequence[str]
    months: Sequence[date]


@dataclass(frozen=True)
class Loaded:
    """The newest load of one month in each of the wanted stores that have it.

    Attributes:
        loads: One a store.
        missing: The wanted stores that do not have the month.
    """

    loads: Sequence[LoadEntry]
    missing: Sequence[str]

    @property
    def newest(self) -> LoadEntry | None:
        """The load that happened last."""
        return max(self.loads, key=lambda load: load.id or 0, default=None)

    @property
    def file(self) -> Published | None:
        """The file of that load, as its source described it."""
        load = self.newest
        if load is None or load.url is None:
            return None
        layout: LayoutName = "parquet" if load.url.endswith(".parquet") else "csv"
        return Published(load.url, layout, load.etag, load.last_modified, load.source_bytes)

    def is_from(self, now: Published) -> bool:
        """Whether every wanted store has the month from this version of its file."""
        return not self.missing and all(_same(load, now) for load in self.loads)


def _same(load: LoadEntry, now: Published) -> bool:
    if load.url != now.url or now.bytes not in (None, load.source_bytes):
        return False
    if load.etag and now.etag:
        return load.etag == now.etag
    return load.last_modified == now.last_modified


def entries(connection: Connection, wanted: MonthSelection) -> list[LoadEntry]:
    """The newest load of each month in each store, oldest month first."""
    found = latest_loads(connection, service=wanted.pipeline.service, months=list(wanted.months))
    here = (
        entry
        for entry in found
        if entry.store in wanted.stores and entry.place == place(wanted.pipeline, entry.store, entry.source_month)
    )
    return sorted(here, key=lambda entry: (entry.source_month, entry.store))


def loaded(connection: Connection, wanted: MonthSelection) -> dict[date, Loaded]:
    """What the log of loads says of each month."""
    found = [entry for entry in entries(connection, wanted) if not entry.configuration.get("limit")]
    by_month = {month: [entry for entry in found if entry.source_month == month] for month in wanted.months}
    return {
        month: Loaded(loads, [store for store in wanted.stores if store not in {load.store for load in loads}])
        for month, loads in by_month.items()
    }


def already_loaded(connection: Connection, source: TripSource, wanted: MonthSelection) -> list[date]:
    """The months that stand in every store from the file that the source has now, cleaned by the rules of today.

    Raises:
        TaxiError: The source or the database does not answer.
    """
    version = wanted.pipeline.cleaning_version()
    same = []
    for month, found in loaded(connection, wanted).items():
        if not found.missing and all(load.code_version == version for load in found.loads):
            now = source.probe(wanted.pipeline.service, month, known=found.file)
            if now and found.is_from(now):
                same.append(month)
    return same
