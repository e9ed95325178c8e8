"""`taxi doctor`: tests each connection, and shows the settings with their origins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.cli.screen import escaped, messages, show_error, table
from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings, settings

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class ConnectionTest:
    """A test of a connection.

    Attributes:
        name: The service at its other end.
        fields: The settings that it depends on.
        run: Returns what answered; raises a `TaxiError` if nothing did.
    """

    name: str
    fields: Sequence[str]
    run: Callable[[Settings], str]


def _source(settings: Settings) -> str:
    from taxi_assets.sources.source import source_from_settings

    source = source_from_settings(settings.model_copy(update={"taxi_source_attempts": 1}))
    published = source.probe("yellow", date(2021, 1, 1))
    file = f"yellow 2021-01 as {published.layout}" if published else "answers; it has no yellow 2021-01"
    return f"{source.address}: {file}{' (synthetic)' if source.synthetic else ''}"


def _postgres(settings: Settings) -> str:
    from taxi_assets.cli.database import reader

    with reader() as connection:
        connection.execute("SELECT 1")
        version, database = connection.info.parameter_status("server_version"), connection.info.dbname
    return f"PostgreSQL {version}, database {database}{'' if settings.postgres_host else ' (the embedded server)'}"


def _lake(settings: Settings) -> str:
    from taxi_assets.stores.google.resource import GoogleCloud
    from taxi_assets.stores.lake.manifest import list_bucket

    cloud = GoogleCloud.from_settings(settings)
    list_bucket(cloud)
    return f"the bucket {cloud.bucket} can be listed ({cloud})"


def _bigquery(settings: Settings) -> str:
    from taxi_assets.stores.bigquery.query import query
    from taxi_assets.stores.google.resource import GoogleCloud

    cloud = GoogleCloud.from_settings(settings)
    with query(cloud, "SELECT 1", settings.bigquery_max_bytes_billed) as answer:
        list(answer.rows)
    return f"runs queries ({cloud})"


_GOOGLE = ("google_application_credentials", "google_service_acc_key_filepath", "gcp_project")

CONNECTION_TESTS = (
    ConnectionTest("trip source", ("taxi_source_url", "taxi_source_attempts", "taxi_sample_rows"), _source),
    ConnectionTest(
        "PostgreSQL",
        ("postgres_host", "postgres_port", "postgres_dbname", "postgres_user", "postgres_password", "postgres_schema"),
        _postgres,
    ),
    ConnectionTest("Cloud Storage", (*_GOOGLE, "gcs_bucket", "storage_emulator_host"), _lake),
    ConnectionTest(
        "BigQuery",
        ("gcp_location", "bigquery_dataset", "bigquery_max_bytes_billed", "bigquery_emulator_host"),
        _bigquery,
    ),
)


def check_connections() -> int:
    """Prints the result of each test; returns 1 if one failed."""
    rows = table("connection", "", "found", "seconds", right=("seconds",))
    errors: list[TaxiError] = []
    for test in CONNECTION_TESTS:
        began = time.monotonic()
        try:
            answer, mark = test.run(settings()), "[green]ok[/]"
        except TaxiError as error:
            errors.append(error)
            answer, mark = error.summary, "[bold red]failed[/]"
        rows.add_row(test.name, mark, escaped(answer), f"{time.monotonic() - began:.2f}")
    messages().print(rows)
    messages().print()
    messages().print(_settings_table())
    for failure in errors:
        show_error(failure)
    return 1 if errors else 0


def _settings_table() -> Table:
    rows = table("setting", "value", "from")
    fields = ["taxi_home", *(field for test in CONNECTION_TESTS for field in test.fields)]
    for field in fields:
        rows.add_row(field.upper(), escaped(settings().redacted(field)), settings().origin(field))
    return rows
