"""Reasons of failures, read from Dagster's events: the parts of a `TaxiError`, or the text of another error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import SecretStr

from taxi_assets.alerts.alert import Reason
from taxi_assets.errors import LABELS
from taxi_assets.failures import ERROR
from taxi_assets.settings import settings

if TYPE_CHECKING:
    from taxi_assets.instance.dagster_private import SerializableErrorInfo

MOST_CHARACTERS = 1000


def step_failure_reason(event: dg.DagsterEvent) -> Reason:
    """The reason of a failed step."""
    failure = event.step_failure_data.user_failure_data
    return failure_reason(failure) if failure else text_reason(error_text(event.step_failure_data.error))


def failure_reason(failure: dg.Failure | Any) -> Reason:
    """The parts of the error where a failure, raised or recorded, carries them; else its text."""
    if ERROR not in failure.metadata:
        return text_reason(failure.description or "")
    parts = Reason.model_validate(failure.metadata[ERROR].value)
    details = {label: _printable(text) for label, text in parts.details.items()}
    return Reason(summary=_printable(parts.summary), details=details)


def text_reason(text: str) -> Reason:
    """The text of an error or a check as a summary in one line; the lines of a printed `TaxiError` are its details."""
    parts, label = {"": ""}, ""
    for line in text.splitlines():
        start, _, rest = line.partition(":")
        if start.startswith("  ") and start.strip() in LABELS:
            label, line = start.strip(), rest
        parts[label] = f"{parts.get(label, '')} {line}"
    details = {name: _printable(part) for name, part in parts.items()}
    return Reason(summary=details.pop("") or "No reason was given.", details=details)


def error_text(error: SerializableErrorInfo | None) -> str:
    """The text of the project's own error in a chain that Dagster serialized, else of the innermost error."""
    if error is None:
        return "Dagster kept no error."
    while True:
        name, _, text = error.message.partition(": ")
        if text and (name.startswith("taxi_assets.") or error.cls_name == "Failure"):
            return text
        if error.cause is None:
            return error.message
        error = error.cause


def _printable(text: str) -> str:
    """The text in one line of at most 1000 characters, without the secrets of the settings."""
    for name in type(settings()).model_fields:
        value = getattr(settings(), name)
        if isinstance(value, SecretStr) and value.get_secret_value():
            text = text.replace(value.get_secret_value(), "***")
    text = " ".join(text.split())
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} …"
