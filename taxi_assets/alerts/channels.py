"""The channels of alerts: Slack, a webhook that takes JSON, mail. A channel without settings is off.

An alert that cannot be delivered is tried a few times, then logged; the tick goes on. No address, password or text of
an HTTP library's error is logged: a webhook's address is a secret.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from taxi_assets.alerts.alert import Alert
from taxi_assets.alerts.message import as_json, as_mail, as_slack
from taxi_assets.settings import Settings

ATTEMPTS = 3
WAIT = wait_exponential_jitter(initial=0.5, max=2, jitter=0.5)
TIMEOUT_SECONDS = 5
LONGEST_SECONDS = 20.0
"""The limit for the delivery of one alert by all channels."""


@dataclass(frozen=True)
class Channel:
    """A channel: its name and the function that sends."""

    name: str
    send: Callable[[Alert], None]


def channels(settings: Settings) -> list[Channel]:
    """The channels that the settings turn on."""
    enabled = []
    if slack := settings.taxi_alert_slack_url:
        enabled.append(Channel("Slack", lambda alert: _post(slack.get_secret_value(), as_slack(alert))))
    if webhook := settings.taxi_alert_webhook_url:
        enabled.append(Channel("webhook", lambda alert: _post(webhook.get_secret_value(), as_json(alert))))
    if settings.taxi_smtp_host:
        enabled.append(Channel("mail", lambda alert: _mail(settings, alert)))
    return enabled


def deliver(alert: Alert, channels: Sequence[Channel], log: logging.Logger) -> None:
    """Sends the alert by every channel concurrently; logs what cannot be delivered."""
    if not channels:
        return
    pool = ThreadPoolExecutor(len(channels))
    sendings = {pool.submit(_send, channel, alert): channel.name for channel in channels}
    done, late = wait(sendings, timeout=LONGEST_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    reasons = {sendings[sending]: _reason(error) for sending in done if (error := sending.exception())}
    reasons |= {sendings[sending]: f"no end after {LONGEST_SECONDS:.0f} seconds" for sending in late}
    for name, reason in reasons.items():
        log.warning("The alert %r could not be delivered by %s: %s.", alert.what, name, reason)


def _send(channel: Channel, alert: Alert) -> None:
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=WAIT,
        retry=retry_if_exception(_is_transient),
        reraise=True,
    )
    retrying(channel.send, alert)


def _post(url: str, body: dict[str, Any]) -> None:
    answer = requests.post(url, json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    if not 200 <= answer.status_code < 300:
        raise requests.HTTPError(response=answer)


def _mail(settings: Settings, alert: Alert) -> None:
    recipients = addresses(alert.owners, settings.taxi_alert_teams)
    if not recipients:
        raise LookupError(f"no address of {', '.join(alert.owners) or 'an owner'} is known (TAXI_ALERT_TEAMS)")
    with mail_server(settings) as server:
        server.send_message(as_mail(alert, settings.taxi_smtp_from, recipients))


@contextmanager
def mail_server(settings: Settings) -> Iterator[smtplib.SMTP]:
    """A session with the mail server, logged in where a user is set."""
    host, port = str(settings.taxi_smtp_host), settings.taxi_smtp_port
    context = ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context)
        if settings.taxi_smtp_tls == "tls"
        else smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    )
    with server:
        if settings.taxi_smtp_tls == "starttls":
            server.starttls(context=context)
        if settings.taxi_smtp_user:
            password = settings.taxi_smtp_password
            server.login(settings.taxi_smtp_user, password.get_secret_value() if password else "")
        yield server


def addresses(owners: Sequence[str], teams: str) -> tuple[str, ...]:
    """The mail addresses of owners.

    Args:
        owners: Mail addresses, or `team:name`.
        teams: The setting TAXI_ALERT_TEAMS.
    """
    members: dict[str, list[str]] = {}
    for entry in filter(None, (part.strip() for part in teams.split(","))):
        team, _, address = entry.partition("=")
        members.setdefault(team.strip(), []).append(address.strip())
    mails: list[str] = []
    for owner in owners:
        mails += members.get(owner.removeprefix("team:"), []) if owner.startswith("team:") else [owner]
    return tuple(dict.fromkeys(mails))


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    if isinstance(error, smtplib.SMTPResponseException):
        return 400 <= error.smtp_code < 500
    if isinstance(error, requests.RequestException):
        return isinstance(error, requests.ConnectionError | requests.Timeout)
    return isinstance(error, OSError) and not isinstance(
        error, ssl.SSLCertVerificationError | smtplib.SMTPNotSupportedError
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"SMTP status {error.smtp_code}"
    return str(error) if isinstance(error, LookupError) else type(error).__name__
