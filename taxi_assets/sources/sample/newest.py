"""Which months the sample source has."""

from __future__ import annotations

from datetime import date

PUBLISHED_AFTER = 3
"""The months from the beginning of a month to its publication."""


def newest_month(today: date) -> date:
    """The newest month that the TLC would have published: a file comes about two months after its month's end."""
    months = today.year * 12 + today.month - 1 - PUBLISHED_AFTER
    return date(months // 12, months % 12 + 1, 1)
