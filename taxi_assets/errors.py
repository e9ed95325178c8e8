"""The platform's errors.

An error names what was expected, what was found and where, what is still intact and what to do next. Everything a
user can cause is a `TaxiError`: the command line prints it without a stack trace, Dagster shows it as a failed step.
"""

from __future__ import annotations

LABELS = ("Expected", "Found", "Where", "Intact", "Next")
"""The labels of an error's parts, as it prints them."""


class TaxiError(Exception):
    """A permanent error, with its parts: a retry fails in the same way.

    Attributes:
        transient: Whether a retry may succeed.
        default_intact, default_next_step: These parts of the class's errors that say nothing else.
        details: Label → text, for each part besides the summary that the error has.

    Args:
        summary: One sentence: what went wrong.
        expected: What should have been there.
        found: What was there instead.
        where: File, line, column, address or table.
        intact: What is unharmed.
        next_step: What a person can do about it.
    """

    transient = False
    default_intact: str | None = None
    default_next_step: str | None = None

    def __init__(
        self,
        summary: str,
        *,
        expected: str | None = None,
        found: str | None = None,
        where: str | None = None,
        intact: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.summary = summary
        parts = expected, found, where, intact or self.default_intact, next_step or self.default_next_step
        self.details = {label: text for label, text in zip(LABELS, parts, strict=True) if text}
        super().__init__(summary)

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {label + ':':<10}{text}" for label, text in self.details.items())])


class TransientError(TaxiError):
    """A transient error, like a timeout, a 503 or a lost server: a retry may succeed."""

    transient = True


class UsageError(TaxiError):
    """An error found before anything was started: a wrong name, option or file of the project."""

    default_intact = "nothing was started"
