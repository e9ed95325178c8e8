"""A home in this process with all three stores, loaded through the platform's IO managers."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from rich.console import Console

from taxi_assets.cli import verify
from taxi_assets.cli.results import Format
from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.local import postgres as embedded
from taxi_assets.pipelines import pipeline_for
from taxi_assets.settings import Settings, settings
from taxi_assets.stores.bigquery.io_manager import BigQueryIOManager
from taxi_assets.stores.google import cloud as google
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.lake.io_manager import LakeIOManager
from taxi_assets.stores.lake.manifest import read_manifest
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.postgres.connection import OWNER, PostgresAddress, connect, connect_as
from taxi_assets.stores.postgres.io_manager import PostgresIOManager
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets_tests.stores.months import JANUARY, cleaned

ALL = ("postgres", "lake", "bigquery")
TABLE = "ny_taxi.yellow_cab_data"
_numbers = count()


@dataclass
class ThreeStores:
    """A home of its own, on servers of the test session."""

    cloud: GoogleCloudResource
    postgres: PostgresResource
    address: PostgresAddress
    folder: Path
    patch: pytest.MonkeyPatch

    def load(self, kept: int = 3, month: date = JANUARY, stores: Sequence[str] = ALL) -> None:
        """Loads a made month of yellow trips, cleaned by today's rules."""
        cleaned_month = cleaned(self.folder / f"{next(_numbers)}", kept=kept, month=month)
        for store in stores:
            self.materialize(store, cleaned_month)

    def materialize(self, store: str, month: CleanedMonth) -> None:
        """Lets the IO manager of a store load the month."""
        managers: dict[str, tuple[Any, Any, dict[str, str]]] = {
            "postgres": (PostgresIOManager(postgres=self.postgres), month, {"schema": "ny_taxi"}),
            "lake": (LakeIOManager(cloud=self.cloud, postgres=self.postgres), month, {"shape": "month"}),
            "bigquery": (BigQueryIOManager(cloud=self.cloud, postgres=self.postgres), None, {"schema": "ny_taxi"}),
        }
        manager, value, metadata = managers[store]
        value = value or read_manifest(self.cloud, "yellow", month.month)

        @dg.asset(
            key=["yellow", store],
            partitions_def=months_since("2019-01"),
            io_manager_key="io",
            metadata={"table": "yellow_cab_data", **metadata},
        )
        def loaded() -> Any:
            return value

        dg.materialize([loaded], partition_key=f"{month.month:%Y-%m}", resources={"io": manager})

    def verify(self, months: str | None = None) -> tuple[int, str]:
        """The exit code of `taxi verify yellow`, and what it says."""
        text = io.StringIO()
        self.patch.setattr(verify, "messages", lambda: Console(file=text, width=500))
        with contextlib.redirect_stdout(text):
            return verify.verify_loads("yellow", months, Format.TABLE), text.getvalue()

    def execute(self, statement: str, role: str = OWNER) -> None:
        """Runs a statement in PostgreSQL."""
        with connect_as(role, self.address) as connection:
            connection.execute(statement.encode())

    def asks(self, query: str) -> list[tuple[Any, ...]]:
        """What PostgreSQL answers."""
        with connect_as("taxi_reader", self.address) as connection:
            return connection.execute(query.encode()).fetchall()

    def without_ledger(self, store: str) -> None:
        """Takes the ledger's entries of a store away, as if its runs had been killed before they wrote them."""
        self.as_superuser(
            "ALTER TABLE taxi_assets.load_log DISABLE TRIGGER only_added",
            f"DELETE FROM taxi_assets.load_log WHERE store = '{store}'",
            "ALTER TABLE taxi_assets.load_log ENABLE TRIGGER only_added",
        )

    def as_superuser(self, *statements: str) -> None:
        """Runs statements that the user may not run."""
        parameters = {**self.address.parameters(), "user": "postgres"}
        with psycopg.connect(**parameters, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def delete(self, prefix: str, month: date) -> list[str]:
        """Deletes a month's objects below a prefix of the bucket; returns their names."""
        blobs = list(self.cloud.storage().list_blobs(self.cloud.bucket, prefix=prefix))
        blobs = [blob for blob in blobs if f"{month:%Y-%m}" in blob.name]
        for blob in blobs:
            blob.delete()
        return [blob.name for blob in blobs]

    def query(self, sql: str) -> None:
        """Runs a statement in BigQuery."""
        self.cloud.bigquery().query(sql).result()

    @property
    def dataset(self) -> str:
        return str(self.cloud.dataset)


@contextmanager
def three_stores(
    cloud: GoogleCloudResource, postgres: PostgresAddress, home: Path, folder: Path
) -> Iterator[ThreeStores]:
    """A home whose ledger, bucket and dataset no other test uses."""
    name = f"three_{next(_numbers)}"
    embedded.ensure(home, database=name)
    embedded.ensure(home)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in {
            "TAXI_HOME": cloud.home,
            "POSTGRES_HOST": postgres.host,
            "POSTGRES_DBNAME": name,
            "BIGQUERY_DATASET": str(cloud.dataset),
        }.items():
            patch.setenv(variable, value)
        patch.setattr(google, "BUCKET", cloud.bucket)
        patch.setattr(Settings, "lake_bucket", property(lambda _: cloud.bucket))
        version = pipeline_for("yellow").version
        patch.setattr("taxi_assets_tests.stores.months.CLEANING", version)
        settings.cache_clear()
        resource = PostgresResource.from_settings(settings())
        yield ThreeStores(cloud, resource, resource.address(), folder, patch)
    settings.cache_clear()
    with connect(postgres) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
