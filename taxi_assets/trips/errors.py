"""The error of a month's file that cannot be read as trips."""

from __future__ import annotations

from taxi_assets.errors import TaxiError

FETCH_AGAIN = "fetch the file again; if it comes the same, its publisher has to mend it"


class InvalidFile(TaxiError):
    """A month's file is not what it should be. Nothing of it was kept, so nothing of it can reach a store."""

    def __init__(
        self,
        summary: str,
        *,
        expected: str,
        found: str,
        where: str,
        next_step: str = FETCH_AGAIN,
    ) -> None:
        super().__init__(
            summary,
            expected=expected,
            found=found,
            where=where,
            intact="every month that was loaded before; nothing of this file was kept",
            next_step=next_step,
        )
