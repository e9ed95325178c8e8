"""What `taxi doctor` finds out about the channels of alerts, on real servers, without a message."""

from __future__ import annotations

import pytest

from taxi_assets.alerts.connection import reach_mail_server, resolve
from taxi_assets.errors import TaxiError
from taxi_assets.local.service import free_port
from taxi_assets.settings import Settings
from taxi_assets_tests.receivers import http_receiver, mail_receiver


def settings(port: int, password: str = "word") -> Settings:
    return Settings(
        taxi_smtp_host="127.0.0.1",
        taxi_smtp_port=port,
        taxi_smtp_tls="none",
        taxi_smtp_user="taxi",
        taxi_smtp_password=password,
    )


def test_the_mail_server_answers_and_gets_no_mail() -> None:
    with mail_receiver("taxi", "word") as mails:
        assert (
            reach_mail_server(settings(mails.port)) == f"127.0.0.1:{mails.port} answers NOOP with 250; no mail was sent"
        )
    assert mails.got == []


def test_a_wrong_password_and_a_server_that_is_not_there_are_told_without_the_password() -> None:
    with mail_receiver("taxi", "word") as mails, pytest.raises(TaxiError) as refused:
        reach_mail_server(settings(mails.port, "another-word"))
    assert refused.value.details["Found"] == "SMTP status 535"
    with pytest.raises(TaxiError, match=r"The mail server cannot be used\.") as gone:
        reach_mail_server(settings(free_port()))
    assert gone.value.details["Found"] == "Connection refused"
    assert "another-word" not in str(refused.value)


def test_a_webhook_gets_nothing_and_its_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http_receiver() as receiver:
        assert resolve("TAXI_ALERT_WEBHOOK_URL", f"{receiver.url}/s3cret").startswith("configured: ")
    assert receiver.got == []
    for url in ("https://hooks.invalid/s3cret", "hooks/s3cret", "http://h:port/s3cret"):
        with pytest.raises(TaxiError, match="Alerts cannot go to the address in TAXI_ALERT_SLACK_URL") as raised:
            resolve("TAXI_ALERT_SLACK_URL", url)
        assert "s3cret" not in str(raised.value)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert "behind a proxy" in resolve("TAXI_ALERT_SLACK_URL", "https://hooks.invalid/s3cret")
