"""What is loaded: asked of the log of loads, and of the source whether it still has the same file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from taxi_assets.console.database import reader
from taxi_assets.pipelines import Pipeline
from taxi_assets.settings import settings
from taxi_assets.sources.record import Published
from taxi_assets.sources.source import source_from_settings
from taxi_assets.stores.load_log import LoadEntry, latest_loads


@dataclass(frozen=True)
class Wanted:
    """Months of a pipeline that somebody wants in some of its stores."""

    pipeline: Pipeline
    stores: Sequence[str]
    months: Sequence[date]


def entries(wanted: Wanted) -> list[LoadEntry]:
    """The newest load of each month in each store."""
    with reader() as connection:
        found = latest_loads(connection, service=wanted.pipeline.service, months=list(wanted.months))
    places = {store: place(wanted.pipeline, store) for store in wanted.stores}
    here = (entry for entry in found if places.get(entry.store) == entry.place)
    return sorted(here, key=lambda entry: (entry.source_month, entry.store))


def place(pipeline: Pipeline, store: str) -> str:
    """Where the rows of a pipeline stand in a store, as the log of loads names it."""
    target = pipeline.attributes[store]
    return f"{settings().postgres_schema or target['schema']}.{target['table']}"


def already_loaded(wanted: Wanted) -> dict[date, Published]:
    """The months that stand in every store from the file that the source has now, cleaned by the rules of today.

    Raises:
        TaxiError: The source or the database does not answer.
    """
    loads = entries(wanted)
    source = source_from_settings(settings())
    version = wanted.pipeline.cleaning_version()
    same = {}
    for month in wanted.months:
        of_month = [entry for entry in loads if entry.source_month == month]
        if {entry.store for entry in of_month} == set(wanted.stores):
            now = source.probe(wanted.pipeline.service, month)
            if now and all(_from(entry, now) and entry.code_version == version for entry in of_month):
                same[month] = now
    return same


def _from(entry: LoadEntry, now: Published) -> bool:
    return (entry.url, entry.etag, entry.last_modified, entry.source_bytes) == (
        now.url,
        now.etag,
        now.last_modified,
        now.bytes,
    )
