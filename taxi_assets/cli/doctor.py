"""`taxi doctor`: tests each connection, and says where each setting came from and what to do where one fails."""

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
class Examination:
    """One connection to test.

    Attributes:
        name: What it leads to.
        fields: The settings that it depends on.
        test: Uses it, and says what it found; raises a `TaxiError` where it fails.
    """

    name: str
    fields: Sequence[str]
    test: Callable[[Settings], str]


def _source(found: Settings) -> str:
    from taxi_assets.sources.source import source_from_settings

    source = source_from_settings(found.model_copy(update={"taxi_source_attempts": 1}))
    published = source.probe("yellow", date(2021, 1, 1))
    what = f"yellow 2021-01 as {published.layout}" if published else "answers; it has no yellow 2021-01"
    return f"{source.address}: {what}{' (made up)' if source.synthetic else ''}"


def _postgres(found: Settings) -> str:
    from taxi_assets.cli.database import reader

    with reader() as connection:
        connection.execute("SELECT 1")
        version, database = connection.info.parameter_status("server_version"), connection.info.dbname
    return f"PostgreSQL {version}, database {database}{'' if found.postgres_host else ' (the embedded server)'}"


def _lake(found: Settings) -> str:
    from taxi_assets.stores.google.resource import GoogleCloud
    from taxi_assets.stores.lake.manifest import list_bucket

    cloud = GoogleCloud.from_settings(found)
    list_bucket(cloud)
    return f"the bucket {cloud.bucket} can be listed ({cloud})"


def _bigquery(found: Settings) -> str:
    from taxi_assets.stores.bigquery.query import query
    from taxi_assets.stores.google.resource import GoogleCloud

    cloud = GoogleCloud.from_settings(found)
    with query(cloud, "SELECT 1", found.bigquery_max_bytes_billed) as answer:
        list(answer.rows)
    return f"runs queries ({cloud})"


_GOOGLE = ("google_application_credentials", "google_service_acc_key_filepath", "gcp_project")

EXAMINATIONS = (
    Examination("trip source", ("taxi_source_url", "taxi_source_attempts", "taxi_sample_rows"), _source),
    Examination(
        "PostgreSQL",
        ("postgres_host", "postgres_port", "postgres_dbname", "postgres_user", "postgres_password", "postgres_schema"),
        _postgres,
    ),
    Examination("Cloud Storage", (*_GOOGLE, "gcs_bucket", "storage_emulator_host"), _lake),
    Examination(
        "BigQuery",
        ("gcp_location", "bigquery_dataset", "bigquery_max_bytes_billed", "bigquery_emulator_host"),
        _bigquery,
    ),
)


def examine() -> int:
    """Prints what each test found; returns 1 if one failed."""
    shown = table("connection", "", "found", "seconds", right=("seconds",))
    errors: list[TaxiError] = []
    for examination in EXAMINATIONS:
        began = time.monotonic()
        try:
            found, mark = examination.test(settings()), "[green]ok[/]"
        except TaxiError as error:
            errors.append(error)
            found, mark = error.summary, "[bold red]failed[/]"
        shown.add_row(examination.name, mark, escaped(found), f"{time.monotonic() - began:.2f}")
    messages().print(shown)
    messages().print()
    messages().print(_settings_table())
    for failed in errors:
        show_error(failed)
    return 1 if errors else 0


def _settings_table() -> Table:
    shown = table("setting", "value", "from")
    fields = ["taxi_home", *(field for examination in EXAMINATIONS for field in examination.fields)]
    for field in fields:
        shown.add_row(field.upper(), escaped(settings().redacted(field)), settings().origin(field))
    return shown
