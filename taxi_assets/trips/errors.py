"""The error of a month's file that cannot be read as trips."""

from __future__ import annotations

from taxi_assets.errors import TaxiError


class InvalidFile(TaxiError):
    """A month's file is broken or not a file of trips. Nothing of it is kept, so nothing of it reaches a store."""

    default_intact = "every month that was loaded before; nothing of this file was kept"
    default_next_step = "fetch the file again; if it comes the same, its publisher has to repair it"
