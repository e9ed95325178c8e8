"""How an alert is sent: to a real HTTP server in Slack's format and as JSON, and by mail to a real SMTP server."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tenacity import wait_none

from taxi_assets.alerts import channels as alert_channels
from taxi_assets.alerts import reason
from taxi_assets.alerts.alert import Alert, Reason
from taxi_assets.alerts.channels import channels, deliver
from taxi_assets.alerts.message import as_text
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.local.service import free_port
from taxi_assets.settings import Settings, read_settings
from taxi_assets_tests.receivers import http_receiver, mail_receiver

log = logging.getLogger("alerts under test")

ALERT = Alert(
    kind="run_failed",
    severity="error",
    what="green/raw_taxi failed for 2020-04",
    assets=("green/raw_taxi",),
    months=("2020-04",),
    job="green_taxi_etl",
    since=1_600_000_000,
    reason=Reason(
        summary="The file of 2020-04 is no gzip file.",
        details={"Expected": "a gzip file", "Found": "<html> & more", "Where": "http://source/green.csv.gz"},
    ),
    intact="nothing was written",
    next_step="ask the source",
    owners=("team:data-platform", "ada@example.org"),
    run_id="1234",
    link="http://127.0.0.1:3000/runs/1234",
)
TEXT = """\
green/raw_taxi failed for 2020-04

Where:    green/raw_taxi, 2020-04, job green_taxi_etl
Since:    2020-09-13 12:26:40 UTC
Why:      The file of 2020-04 is no gzip file.
Expected: a gzip file
Found:    <html> & more
At:       http://source/green.csv.gz
Intact:   nothing was written
Next:     ask the source
Severity: error
Owner:    team:data-platform, ada@example.org
Link:     http://127.0.0.1:3000/runs/1234
"""


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr(alert_channels, "WAIT", wait_none())


def send(alert: Alert = ALERT, **settings: Any) -> None:
    deliver(alert, channels(Settings(**settings)), log)


def test_slack_gets_its_own_format() -> None:
    with http_receiver() as receiver:
        send(taxi_alert_slack_url=f"{receiver.url}/services/T0/B0/x")
    said = "\n".join(
        [
            "*Where:* green/raw_taxi, 2020-04, job green_taxi_etl",
            "*Since:* 2020-09-13 12:26:40 UTC",
            "*Why:* The file of 2020-04 is no gzip file.",
            "*Expected:* a gzip file",
            "*Found:* &lt;html&gt; &amp; more",
            "*At:* http://source/green.csv.gz",
            "*Intact:* nothing was written",
            "*Next:* ask the source",
            "*Severity:* error",
            "*Owner:* team:data-platform, ada@example.org",
            "*Link:* http://127.0.0.1:3000/runs/1234",
        ]
    )
    header = {"type": "plain_text", "text": "green/raw_taxi failed for 2020-04", "emoji": False}
    body = {
        "text": "green/raw_taxi failed for 2020-04",
        "blocks": [
            {"type": "header", "text": header},
            {"type": "section", "text": {"type": "mrkdwn", "text": said}},
        ],
    }
    assert receiver.got == [("/services/T0/B0/x", body)]


def test_owners_and_teams_get_a_mail_from_a_server_that_wants_a_login() -> None:
    with mail_receiver("taxi", "a secret word") as receiver:
        send(
            taxi_smtp_host="127.0.0.1",
            taxi_smtp_port=receiver.port,
            taxi_smtp_tls="none",
            taxi_smtp_user="taxi",
            taxi_smtp_password="a secret word",
            taxi_smtp_from="taxi@example.org",
            taxi_alert_teams="data-platform=grace@example.org, data-platform = joan@example.org,other=no@example.org",
        )
    ((recipients, mail),) = receiver.got
    assert recipients == ["grace@example.org", "joan@example.org", "ada@example.org"]
    assert mail["Subject"] == "[taxi] green/raw_taxi failed for 2020-04"
    assert (mail["From"], mail["To"]) == ("taxi@example.org", ", ".join(recipients))
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n") == TEXT


def test_each_channel_that_is_set_gets_the_alert_and_no_other() -> None:
    with http_receiver() as receiver:
        send(taxi_alert_slack_url=f"{receiver.url}/slack", taxi_alert_webhook_url=f"{receiver.url}/json")
        send()
    assert sorted(path for path, _ in receiver.got) == ["/json", "/slack"]
    assert receiver.bodies("/json")[0]["what"] == ALERT.what


def test_what_passes_is_tried_again() -> None:
    with http_receiver([503, 429]) as receiver:
        send(taxi_alert_webhook_url=receiver.url)
    assert len(receiver.got) == 3
    with mail_receiver("taxi", "word", ["451 later"]) as mails:
        send(
            taxi_smtp_host="127.0.0.1",
            taxi_smtp_port=mails.port,
            taxi_smtp_tls="none",
            taxi_smtp_user="taxi",
            taxi_smtp_password="word",
        )
    assert len(mails.got) == 1


@pytest.mark.parametrize(
    ("statuses", "tries", "reason"),
    [([404], 1, "HTTP status 404"), ([302], 1, "HTTP status 302"), ([500] * 3, 3, "HTTP status 500")],
)
def test_what_cannot_be_delivered_is_logged_without_the_address(
    caplog: pytest.LogCaptureFixture, statuses: list[int], tries: int, reason: str
) -> None:
    with http_receiver(statuses) as receiver:
        send(taxi_alert_webhook_url=f"{receiver.url}/secret-path")
    assert len(receiver.got) == tries
    assert f"The alert 'green/raw_taxi failed for 2020-04' could not be delivered by webhook: {reason}." in caplog.text
    assert "secret-path" not in caplog.text


def test_servers_that_are_not_there_fail_nothing_and_show_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    nobody = free_port()
    send(
        taxi_alert_slack_url=f"http://127.0.0.1:{nobody}/secret-path",
        taxi_smtp_host="127.0.0.1",
        taxi_smtp_port=nobody,
        taxi_smtp_password="secret-word",
    )
    assert "could not be delivered by Slack: ConnectionError." in caplog.text
    assert "could not be delivered by mail: ConnectionRefusedError." in caplog.text
    assert "secret" not in caplog.text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, which nobody but the tests trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(("mode", "how"), [("starttls", "tls_context"), ("tls", "ssl_context")])
def test_mail_goes_encrypted_to_a_server_that_is_trusted_and_to_no_other(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str, how: str
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with mail_receiver("taxi", "word", **{how: context}) as mails:  # type: ignore[arg-type]
        settings: dict[str, Any] = {"taxi_smtp_host": "127.0.0.1", "taxi_smtp_port": mails.port, "taxi_smtp_tls": mode}
        settings |= {"taxi_smtp_user": "taxi", "taxi_smtp_password": "word"}
        send(**settings)
        assert mails.got == []
        assert "could not be delivered by mail: SSLCertVerificationError." in caplog.text
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send(**settings)
    assert [recipients for recipients, _ in mails.got] == [["ada@example.org"]]


def test_a_wrong_password_and_a_team_without_an_address_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with mail_receiver("taxi", "word") as mails:
        server: dict[str, Any] = {"taxi_smtp_host": "127.0.0.1", "taxi_smtp_port": mails.port, "taxi_smtp_tls": "none"}
        send(**server, taxi_smtp_user="taxi", taxi_smtp_password="another-word")
        send(ALERT.model_copy(update={"owners": ("team:nobody",)}), **server)
    assert mails.got == []
    assert "by mail: SMTP status 535." in caplog.text
    assert "by mail: no address of team:nobody is known (TAXI_ALERT_TEAMS)." in caplog.text
    assert "another-word" not in caplog.text


def test_a_secret_in_an_error_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(postgres_password="p4ss-word")
    monkeypatch.setattr(reason, "settings", lambda: settings)
    with pytest.raises(dg.Failure) as failure, dagster_failures():
        raise TaxiError("No connection with p4ss-word.", found="user taxi, password p4ss-word")
    for found in (reason.failure_reason(failure.value), reason.text_reason("No connection with p4ss-word. user taxi")):
        text = as_text(ALERT.model_copy(update={"reason": found}))
        assert "p4ss-word" not in text
        assert "No connection with ***." in text
        assert "user taxi" in text


def test_settings_that_are_secret_are_not_shown() -> None:
    settings = Settings(
        taxi_alert_slack_url="https://hooks/secret",
        taxi_alert_webhook_url="https://other/secret",
        taxi_smtp_password="secret",
        taxi_webhook_token="secret",
    )
    assert "secret" not in repr(settings) + "".join(settings.redacted(name) for name in Settings.model_fields)


def test_a_team_without_an_at_sign_is_refused() -> None:
    with pytest.raises(TaxiError, match="TAXI_ALERT_TEAMS cannot be used") as refused:
        read_settings({"TAXI_ALERT_TEAMS": "data-platform=nowhere"})
    assert "data-platform=a@example.org" in refused.value.details["Expected"]
