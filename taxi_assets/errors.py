"""What the platform says when something is wrong: one shape for every room.

An error names what was expected, what was found and where, what is still intact and what to do next. Everything a
user can cause is a `TaxiError`: the command line prints it without a stack trace, Dagster shows it as a failed step.
"""

from __future__ import annotations


class TaxiError(Exception):
    """A clear error that trying again does not mend.

    Args:
        summary: One sentence: what went wrong.
        expected: What should have been there.
        found: What was there instead.
        where: File, line, column, address or table.
        intact: What the error left as it was.
        next_step: What a person can do about it.
    """

    transient = False

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
        self.details = {
            name: text
            for name, text in (
                ("Expected", expected),
                ("Found", found),
                ("Where", where),
                ("Intact", intact),
                ("Next", next_step),
            )
            if text
        }
        super().__init__(summary)

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {name + ':':<10}{text}" for name, text in self.details.items())])


class TransientError(TaxiError):
    """A clear error that may soon be gone, so that trying again is worth it (a timeout, a 503, a lost server)."""

    transient = True
