"""The formats of an alert: text, Slack's blocks, JSON, mail."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from taxi_assets.alerts.alert import Alert

_SLACK_HEADER = 150
_SLACK_SECTION = 3000


def lines(alert: Alert) -> dict[str, str]:
    """The lines below the headline: label → text."""
    details = alert.reason.details
    place = ", ".join([*alert.assets, *alert.months, *([f"job {alert.job}"] if alert.job else [])])
    return {
        "Where": place,
        "Since": alert.since_utc,
        "Why": alert.reason.summary,
        **{label: text for label, text in details.items() if label in ("Expected", "Found")},
        **({"At": details["Where"]} if "Where" in details else {}),
        "Intact": alert.intact,
        "Next": alert.next_step,
        "Severity": alert.severity,
        "Owner": ", ".join(alert.owners) or "nobody",
        "Link": alert.link,
    }


def as_text(alert: Alert) -> str:
    """Plain text."""
    return "\n".join([alert.what, "", *(f"{name + ':':<10}{text}" for name, text in lines(alert).items())]) + "\n"


def as_slack(alert: Alert) -> dict[str, Any]:
    """The body of a request to Slack's incoming webhook."""
    text = "\n".join(f"*{name}:* {_escaped(text)}" for name, text in lines(alert).items())
    return {
        "text": _escaped(alert.what),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": alert.what[:_SLACK_HEADER], "emoji": False}},
            {"type": "section", "text": {"type": "mrkdwn", "text": text[:_SLACK_SECTION]}},
        ],
    }


def as_json(alert: Alert) -> dict[str, Any]:
    """JSON: the alert's fields, with the time as text."""
    return {**alert.model_dump(mode="json", by_alias=True), "since": alert.since_utc, "cause": alert.cause}


def as_mail(alert: Alert, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """A mail to the owners."""
    mail = EmailMessage()
    mail["Subject"] = " ".join(f"[taxi] {alert.what}".split())
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or None)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(as_text(alert))
    return mail


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
