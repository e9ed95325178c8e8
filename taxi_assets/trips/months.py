"""The month of a trip file: the partition of every asset and the key of every load.

A month is the date of its first day. Its name is `2021-01`, as in the TLC's file names.
"""

from __future__ import annotations

import re
from datetime import date

from taxi_assets.errors import UsageError

_EXPECTED = "a year and a month, like 2021-01, or a range of them, like 2020-10:2020-12"
_MONTH = re.compile(r"(?!0000)([0-9]{4})-(0[1-9]|1[0-2])")
_NEAR = re.compile(r"([12][0-9]{3})[-/._ ]?(0?[1-9]|1[0-2])([-/.][0-9]{1,2})?")
_RANGE = re.compile(r"([0-9]{4}-[0-9]{2})\s*(?:\.{2,3}|[-–/ ]|\bto\b)\s*([0-9]{4}-[0-9]{2})")


def parse_month(text: str) -> date:
    """Reads `2021-01`.

    Raises:
        UsageError: The text is no month.
    """
    match = _MONTH.fullmatch(text.strip())
    if not match:
        near = _NEAR.fullmatch(text.strip())
        meant = f"write {near[1]}-{int(near[2]):02}" if near else None
        raise UsageError(f"{text!r} is not a month.", expected=_EXPECTED, next_step=meant)
    return date(int(match[1]), int(match[2]), 1)


def month_name(month: date) -> str:
    """`2021-01`."""
    return f"{month:%Y-%m}"


def next_month(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def parse_months(text: str) -> list[date]:
    """Reads `2021-01` or the range `2020-10:2020-12`, both ends included, oldest first.

    Raises:
        UsageError: The text is neither, the range has one end only, or it runs backwards.
    """
    first, colon, last = (part.strip() for part in text.partition(":"))
    if colon and not (first and last):
        raise UsageError(
            f"The range {text!r} has no {'end' if first else 'beginning'}.",
            expected="both ends, like 2020-10:2020-12; `outdated` names the months of older rules or columns",
        )
    if near := _RANGE.fullmatch(first):
        meant = f"write {near[1]}:{near[2]}"
        raise UsageError(f"{text!r} is not a range of months.", expected=_EXPECTED, next_step=meant)
    start = parse_month(first)
    end = parse_month(last) if colon else start
    if start > end:
        raise UsageError(f"The months {text!r} run backwards.", expected=f"the earlier month first: {last}:{first}")
    months = [start]
    while months[-1] < end:
        months.append(next_month(months[-1]))
    return months
