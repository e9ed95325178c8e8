"""The months that are loaded, by the load log, and whether the source still has the same files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.pipeline import PipelineSpec
from taxi_assets.sources.layouts import LayoutName
from taxi_assets.sources.record import Published
from taxi_assets.sources.source import TripSource
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.load_log import latest_loads

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


@dataclass(frozen=True)
class MonthSelection:
    """Months of a pipeline in some of its stores."""

    pipeline: PipelineSpec
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

    def is_from(self, file: Published) -> bool:
        """Whether every wanted store has the month from this version of its file."""
        return not self.missing and all(_is_from(load, file) for load in self.loads)


def _is_from(load: LoadEntry, file: Published) -> bool:
    if load.url != file.url or file.bytes not in (None, load.source_bytes):
        return False
    if load.etag and file.etag:
        return load.etag == file.etag
    return load.last_modified == file.last_modified


def entries(connection: Connection, wanted: MonthSelection) -> list[LoadEntry]:
    """The newest load of each month in each store, oldest month first."""
    pipeline = wanted.pipeline
    newest = latest_loads(connection, service=pipeline.service, months=list(wanted.months))
    selected = (
        entry
        for entry in newest
        if entry.store in wanted.stores and entry.place == pipeline.location(entry.store, entry.source_month)
    )
    return sorted(selected, key=lambda entry: (entry.source_month, entry.store))


def loaded(connection: Connection, wanted: MonthSelection) -> dict[date, Loaded]:
    """Month → its loads, trials left out."""
    full = [entry for entry in entries(connection, wanted) if not entry.configuration.get("limit")]
    by_month = {month: [entry for entry in full if entry.source_month == month] for month in wanted.months}
    return {
        month: Loaded(loads, [store for store in wanted.stores if store not in {load.store for load in loads}])
        for month, loads in by_month.items()
    }


def already_loaded(connection: Connection, source: TripSource, wanted: MonthSelection) -> list[date]:
    """The months that every store has from the file that the source has now, cleaned by today's rules.

    Raises:
        TaxiError: The source or the database does not answer.
    """
    version = wanted.pipeline.version
    unchanged = []
    for month, loads in loaded(connection, wanted).items():
        if not loads.missing and all(load.code_version == version for load in loads.loads):
            published = source.probe(wanted.pipeline.service, month, known=loads.file)
            if published and loads.is_from(published):
                unchanged.append(month)
    return unchanged
