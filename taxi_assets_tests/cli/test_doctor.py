"""What `taxi doctor` says of settings and of what is off; its servers are in `end_to_end/test_queries.py`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from taxi_assets import settings as module
from taxi_assets.cli import doctor
from taxi_assets.cli.doctor import CONNECTION_TESTS, check_connections, setting_rows
from taxi_assets.cli.results import Format
from taxi_assets.settings import Settings, settings

WITHOUT_SERVERS = [test for test in CONNECTION_TESTS if test.setting or test.name == "UI"]


@pytest.fixture(autouse=True)
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A root and a shell with no settings."""
    monkeypatch.setattr(module, "PROJECT_ROOT", tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setattr(doctor, "CONNECTION_TESTS", WITHOUT_SERVERS)
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def said(monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    text = io.StringIO()
    monkeypatch.setattr(doctor, "messages", lambda: Console(file=text, width=500))
    with contextlib.redirect_stdout(text):
        return check_connections(Format.TABLE), text.getvalue().splitlines()


def test_every_setting_is_listed_with_its_origin_and_without_secrets(shell: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shell.setenv("TAXI_ALERT_SLACK_URL", "https://hooks.example/s3cret")
    shell.setenv("TAXI_WEBHOOK_TOKEN", "s3cret")
    (tmp_path / ".env.local").write_text("TAXI_SMTP_FROM=taxi@example.org\n")
    rows = {name: (value, origin) for name, value, origin, _ in setting_rows()}
    assert list(rows) == [field.upper() for field in Settings.model_fields]
    assert rows["TAXI_SMTP_FROM"] == ("taxi@example.org", ".env.local")
    assert rows["TAXI_UI_URL"] == ("http://127.0.0.1:3000", "default")
    assert rows["TAXI_WEBHOOK_TOKEN"][1] == "shell"
    assert "s3cret" not in str(rows)


def test_what_is_off_is_no_failure(shell: pytest.MonkeyPatch) -> None:
    code, lines = said(shell)
    assert code == 0
    for name, setting in [
        ("alerts to Slack", "TAXI_ALERT_SLACK_URL"),
        ("alerts as JSON", "TAXI_ALERT_WEBHOOK_URL"),
        ("alerts by mail", "TAXI_SMTP_HOST"),
        ("webhook", "TAXI_WEBHOOK_TOKEN"),
    ]:
        (line,) = (line for line in lines if line.startswith(f"{name} "))
        assert line.removeprefix(name).split()[:2] == ["off", setting]


def test_the_webhook_and_the_ui_are_told_without_the_token(shell: pytest.MonkeyPatch) -> None:
    shell.setenv("TAXI_WEBHOOK_TOKEN", "s3cret")
    code, lines = said(shell)
    assert code == 0
    assert "has a token; `taxi webhook` serves 127.0.0.1:3001" in "\n".join(lines)
    assert "the UI of this home does not run: taxi dev" in "\n".join(lines)
    assert "s3cret" not in "\n".join(lines)


def test_an_unknown_name_is_a_problem_and_its_value_is_not_shown(shell: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_text("POSTGRES_PASWORD=s3cret\n")
    code, lines = said(shell)
    assert code == 1
    (line,) = (line for line in lines if line.startswith("POSTGRES_PASWORD"))
    assert line.split() == ["POSTGRES_PASWORD", ".env.local", "unknown"]
    assert "did you mean POSTGRES_PASSWORD?" in lines[-1]
    assert "s3cret" not in "\n".join(lines)


def test_a_channel_that_cannot_be_reached_fails(shell: pytest.MonkeyPatch) -> None:
    shell.setenv("TAXI_ALERT_SLACK_URL", "no-address/s3cret")
    errors: list[str] = []
    shell.setattr(doctor, "show_error", lambda error: errors.append(str(error)))
    code, lines = said(shell)
    assert code == 1
    assert "failed" in "\n".join(lines)
    assert "Alerts cannot go to the address in TAXI_ALERT_SLACK_URL." in errors[0]
    assert "s3cret" not in errors[0]


def test_a_terminal_sees_what_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(doctor, "messages", lambda: Console(file=text, width=500, force_terminal=True))
    with contextlib.redirect_stdout(io.StringIO()):
        check_connections(Format.TABLE)
    assert "Testing UI; a local service that it needs is started" in text.getvalue()
