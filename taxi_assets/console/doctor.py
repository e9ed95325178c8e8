"""`taxi doctor`: tests each connection, and says where each setting came from and what to do where one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from taxi_assets.console.screen import messages, show_error, table
from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings, settings


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

    source = source_from_settings(found)
    published = source.probe("yellow", date(2021, 1, 1))
    what = f"yellow 2021-01 as {published.layout}" if published else "answers; it has no yellow 2021-01"
    return f"{source.address}: {what}{' (made up)' if source.sample else ''}"


def _postgres(found: Settings) -> str:
    from taxi_assets.console.database import reader

    with reader() as connection:
        row = connection.execute("SELECT current_setting('server_version'), current_database()").fetchone()
    assert row
    return f"PostgreSQL {row[0]}, database {row[1]}{'' if found.postgres_host else ' (the embedded server)'}"


EXAMINATIONS = (
    Examination("trip source", ("taxi_source_url", "taxi_sample_rows"), _source),
    Examination(
        "PostgreSQL",
        ("postgres_host", "postgres_port", "postgres_dbname", "postgres_user", "postgres_password", "postgres_schema"),
        _postgres,
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
        shown.add_row(examination.name, mark, found, f"{time.monotonic() - began:.2f}")
    messages().print(shown)
    messages().print(_settings_table())
    for error in errors:
        show_error(error)
    return 1 if errors else 0


def _settings_table() -> object:
    shown = table("setting", "value", "from", title="\nSettings")
    for examination in EXAMINATIONS:
        for field in examination.fields:
            value = getattr(settings(), field)
            shown.add_row(field.upper(), "unset" if value is None else str(value), settings().origin(field))
    shown.add_row("TAXI_HOME", str(settings().taxi_home), settings().origin("taxi_home"))
    return shown
