"""An alert as it is sent: as text, in Slack's format, as plain JSON."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from taxi_assets.alerts.alert import Alert

_SLACK_HEADER = 150
_SLACK_SECTION = 3000


def lines(alert: Alert) -> dict[str, str]:
    """What the alert says below its headline, each under a name."""
    place = ", ".join([*alert.assets, *alert.months, *([f"job {alert.job}"] if alert.job else [])])
    return {
        "Where": place,
        "Since": alert.since_utc,
        "Why": alert.why.summary,
        **{name: text for name, text in alert.why.details.items() if name in ("Expected", "Found")},
        **({"At": alert.why.details["Where"]} if "Where" in alert.why.details else {}),
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
    said = "\n".join(f"*{name}:* {_escaped(text)}" for name, text in lines(alert).items())
    return {
        "text": _escaped(alert.what),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": alert.what[:_SLACK_HEADER], "emoji": False}},
            {"type": "section", "text": {"type": "mrkdwn", "text": said[:_SLACK_SECTION]}},
        ],
    }


def as_json(alert: Alert) -> dict[str, Any]:
    """Plain JSON: the alert's own fields, with the time as people read it."""
    return {**alert.model_dump(mode="json"), "since": alert.since_utc, "cause": alert.cause}


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
