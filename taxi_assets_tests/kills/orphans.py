"""What no load needs any more: found in the bucket, in BigQuery, in PostgreSQL and in the home."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from taxi_assets.stores.lake.manifest import read_manifest
from taxi_assets_tests.end_to_end.cloud_stores import google, objects
from taxi_assets_tests.kills.versions import Month
from taxi_assets_tests.taxi_command import Taxi


def orphans(taxi: Taxi, months: Sequence[Month]) -> list[str]:
    """The names of what is left over; empty where nothing is."""
    return [*_objects(taxi, months), *_tables(taxi, months), *_relations(taxi), *_files(taxi)]


def _objects(taxi: Taxi, months: Sequence[Month]) -> list[str]:
    known = set()
    for month in months:
        load = read_manifest(google(taxi), month.service, date.fromisoformat(f"{month.name}-01"))
        assert load
        known |= {item.name for item in load.objects} | {load.rejected.name}
        known |= {f"rejected/{month.service}/{month.name}.parquet", f"_loads/{month.service}/{month.name}.json"}
        if load.shape == "month":
            known.add(f"{month.service}/{month.service}_{month.name}.parquet")
    return [name for name in objects(taxi) if name not in known and name.endswith(".parquet")]


def _tables(taxi: Taxi, months: Sequence[Month]) -> list[str]:
    client = google(taxi).bigquery()
    datasets = {month.table.partition(".")[0] for month in months}
    names = [table.table_id for dataset in datasets for table in client.list_tables(dataset)]
    return [name for name in names if "staging" in name]


def _relations(taxi: Taxi) -> list[str]:
    """Partitions that are no part of their table."""
    query = """SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname IN ('ny_taxi', 'mage', 'trial') AND relkind = 'r' AND NOT relispartition"""
    return [name for (name,) in taxi.asks(query)]


def _files(taxi: Taxi) -> list[str]:
    left = [*(taxi.home / "tmp").iterdir(), *(taxi.home / "raw").rglob("*.part*")]
    return [str(path.relative_to(taxi.home)) for path in left if not path.name.endswith(".lock")]
