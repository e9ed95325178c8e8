"""Tests of the channels of alerts that send no message."""

from __future__ import annotations

import smtplib
import socket
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from taxi_assets.alerts.channels import mail_server
from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings


def reach_mail_server(settings: Settings) -> str:
    """Connects, logs in where a user is set, and asks for nothing (NOOP); returns what answered.

    Raises:
        TaxiError: The server does not answer, or refuses.
    """
    where = f"{settings.taxi_smtp_host}:{settings.taxi_smtp_port}"
    try:
        with mail_server(settings) as server:
            code, _ = server.noop()
    except (OSError, smtplib.SMTPException) as error:
        found = f"SMTP status {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else None
        raise TaxiError(
            "The mail server cannot be used.",
            expected=f"an answer with {settings.taxi_smtp_tls}",
            found=found or getattr(error, "strerror", None) or type(error).__name__,
            where=where,
            intact="alerts by the other channels",
            next_step="correct TAXI_SMTP_HOST, TAXI_SMTP_PORT, TAXI_SMTP_TLS, TAXI_SMTP_USER or TAXI_SMTP_PASSWORD",
        ) from None
    return f"{where} answers NOOP with {code}; no mail was sent"


def resolve(setting: str, url: str) -> str:
    """Looks the host of a secret address up; returns what was found. No text of the address is part of it.

    Raises:
        TaxiError: The address has no host, or the host no address.
    """
    if get_environ_proxies(url):
        return "configured, behind a proxy; nothing was sent"
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is no http or https address")
        socket.getaddrinfo(parts.hostname, parts.port or parts.scheme)
    except (ValueError, OSError) as error:
        raise TaxiError(
            f"Alerts cannot go to the address in {setting}.",
            expected="an http or https address whose host is known",
            found=str(error) if isinstance(error, ValueError) else f"its host is not known: {error.strerror}",
            intact="alerts by the other channels",
            next_step=f"correct {setting}, or unset it",
        ) from None
    return "configured: its host is known; nothing was sent"
