"""The clear error in what Dagster keeps of a failure: the text of a `TaxiError`, never a stack."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import SecretStr

from taxi_assets.alerts.alert import Reason
from taxi_assets.settings import settings

if TYPE_CHECKING:
    from taxi_assets.instance.dagster_private import SerializableErrorInfo, StepFailureData

MOST_CHARACTERS = 1000
_DETAIL = re.compile(r"  (Expected|Found|Where|Intact|Next): +(.*)")


def step_failure_reason(data: StepFailureData) -> Reason:
    """The reason of a failed step."""
    if data.user_failure_data and data.user_failure_data.description:
        return parse_reason(data.user_failure_data.description)
    return why(data.error)


def why(error: SerializableErrorInfo | None) -> Reason:
    """The reason in a chain of errors: what the innermost one says."""
    if error is None:
        return Reason(summary="Dagster kept no error.")
    while error.cause:
        error = error.cause
    name, _, said = error.message.partition(": ")
    clear = name.startswith(("taxi_assets.", f"{dg.Failure.__module__}.{dg.Failure.__qualname__}"))
    return parse_reason(said if clear and said else error.message)


def parse_reason(text: str) -> Reason:
    """Reads what a `TaxiError` prints; other text is a summary alone. Without the settings' secrets."""
    lines = _without_secrets(text.strip()).splitlines() or ["No reason was given."]
    summary, details, last = [lines[0]], dict[str, str](), ""
    for line in lines[1:]:
        if found := _DETAIL.fullmatch(line):
            last = found[1]
            details[last] = found[2]
        elif last:
            details[last] += f" {line.strip()}"
        else:
            summary.append(line.strip())
    short = {name: _shortened(detail) for name, detail in details.items()}
    return Reason(summary=_shortened(" ".join(filter(None, summary))), details=short)


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} …"


def _without_secrets(text: str) -> str:
    for name in type(settings()).model_fields:
        value = getattr(settings(), name)
        if isinstance(value, SecretStr) and value.get_secret_value():
            text = text.replace(value.get_secret_value(), "***")
    return text
