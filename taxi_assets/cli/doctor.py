"""`taxi doctor`: tests each connection, and shows the settings with their origins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from taxi_assets.cli.results import Format, print_document, print_table
from taxi_assets.cli.screen import escaped, messages, show_error
from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings, settings
from taxi_assets.unknown_settings import unknown_settings


@dataclass(frozen=True)
class ConnectionTest:
    """A test of a connection that changes nothing and sends no message.

    Attributes:
        name: The service at its other end.
        run: Returns what answered; raises a `TaxiError` if nothing did.
        setting: The setting without which there is no such connection; None: there is always one.
    """

    name: str
    run: Callable[[Settings], str]
    setting: str | None = None


def _files(settings: Settings) -> str:
    from taxi_assets.pipelines import FOLDER, read_files, refuse_broken
    from taxi_assets.trips.registry import read_service, service_names

    refuse_broken(list(read_files().broken.values()))
    services = [read_service(name) for name in service_names()]
    files = len(list(FOLDER.glob("*/defs.yaml")))
    return f"{files} files in taxi_assets/defs and {len(services)} services are valid"


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
    from taxi_assets.stores.google.cloud import GoogleCloud
    from taxi_assets.stores.lake.manifest import list_bucket

    cloud = GoogleCloud.from_settings(settings)
    list_bucket(cloud)
    return f"the bucket {cloud.bucket} can be listed ({cloud})"


def _bigquery(settings: Settings) -> str:
    from taxi_assets.stores.bigquery.query import query
    from taxi_assets.stores.google.cloud import GoogleCloud

    cloud = GoogleCloud.from_settings(settings)
    with query(cloud, "SELECT 1", settings.bigquery_max_bytes_billed) as answer:
        list(answer.rows)
    return f"runs queries ({cloud})"


def _mail(settings: Settings) -> str:
    from taxi_assets.alerts.connection import reach_mail_server

    return reach_mail_server(settings)


def _address(setting: str) -> Callable[[Settings], str]:
    def run(settings: Settings) -> str:
        from taxi_assets.alerts.connection import resolve

        return resolve(setting.upper(), getattr(settings, setting).get_secret_value())

    return run


def _webhook(settings: Settings) -> str:
    return f"has a token; `taxi webhook` serves {settings.taxi_webhook_host}:{settings.taxi_webhook_port}"


def _ui(settings: Settings) -> str:
    from taxi_assets.ui.server import running_links

    runs = "runs: `taxi status` has its link" if running_links(settings.taxi_home) else "does not run: taxi dev"
    return f"{settings.redacted('taxi_ui_url')} in the links of alerts; the UI of this home {runs}"


CONNECTION_TESTS = (
    ConnectionTest("YAML files", _files),
    ConnectionTest("trip source", _source),
    ConnectionTest("PostgreSQL", _postgres),
    ConnectionTest("Cloud Storage", _lake),
    ConnectionTest("BigQuery", _bigquery),
    ConnectionTest("alerts to Slack", _address("taxi_alert_slack_url"), "taxi_alert_slack_url"),
    ConnectionTest("alerts as JSON", _address("taxi_alert_webhook_url"), "taxi_alert_webhook_url"),
    ConnectionTest("alerts by mail", _mail, "taxi_smtp_host"),
    ConnectionTest("webhook", _webhook, "taxi_webhook_token"),
    ConnectionTest("UI", _ui),
)
"""What `taxi doctor` tests."""

_MARKS = {"ok": "[green]ok[/]", "failed": "[bold red]failed[/]", "unknown": "[bold red]unknown[/]"}


def check_connections(form: Format) -> int:
    """Prints the result of each test and every setting; returns 1 if a test failed or a name is no setting."""
    tests: list[dict[str, Any]] = []
    errors: list[TaxiError] = []
    with messages().status("") as waiting:
        for test in CONNECTION_TESTS:
            waiting.update(f"Testing {test.name}; a local service that it needs is started")
            began = time.monotonic()
            try:
                state, answer = _result(test, settings())
            except TaxiError as error:
                errors.append(error)
                state, answer = "failed", error.summary
            seconds = round(time.monotonic() - began, 2)
            tests.append({"connection": test.name, "state": state, "found": answer, "seconds": seconds})
    unknown = unknown_settings()
    if form is Format.TABLE:
        _print_tables(tests)
    else:
        names = ("setting", "value", "from", "state")
        listed = [dict(zip(names, row, strict=True)) for row in setting_rows()]
        ok = not (errors or unknown)
        print_document({"ok": ok, "connections": tests, "settings": listed}, tests, form)
    for failure in errors:
        show_error(failure)
    for setting in unknown:
        messages().print(f"[yellow]Warning:[/] {escaped(str(setting))}", soft_wrap=True)
    return 1 if errors or unknown else 0


def _print_tables(tests: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [test["connection"], _MARKS.get(test["state"], test["state"]), escaped(test["found"]), f"{test['seconds']:.2f}"]
        for test in tests
    ]
    print_table(["connection", "state", "found", "seconds"], rows, right=("seconds",), sparse=True, prose="found")
    print()
    listed = [
        [escaped(name), escaped(value), origin, _MARKS.get(state, state)]
        for name, value, origin, state in setting_rows()
    ]
    print_table(["setting", "value", "from", "state"], listed, sparse=True)


def _result(test: ConnectionTest, settings: Settings) -> tuple[str, str]:
    if test.setting and getattr(settings, test.setting) is None:
        return "off", f"{test.setting.upper()} is unset"
    return "ok", test.run(settings)


def setting_rows() -> list[tuple[str, str, str, str]]:
    """Every setting, then the names that are none: name, value without secrets, origin, and `unknown` for the latter.

    The value of an unknown name is not shown: it may be a secret.
    """
    known = [
        (field.upper(), settings().redacted(field), settings().origin(field), "") for field in Settings.model_fields
    ]
    return [*known, *((unknown.name, "", unknown.place, "unknown") for unknown in unknown_settings())]
