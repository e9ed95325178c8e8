"""The month of a trip file: the partition of every asset and the key of every load.

A month is the date of its first day. Its name is `2021-01`, as in the TLC's file names.
"""

from __future__ import annotations

import re
from datetime import date

from taxi_assets.errors import TaxiError


def parse_month(text: str) -> date:
    """Reads `2021-01`.

    Raises:
        TaxiError: The text is no month.
    """
    match = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", text.strip())
    if not match:
        raise TaxiError(
            f"{text!r} is not a month.",
            expected="a year and a month, like 2021-01, or a range of them, like 2020-10:2020-12",
        )
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
        TaxiError: The text is neither, or the range runs backwards.
    """
    first, colon, last = text.partition(":")
    start = parse_month(first)
    end = parse_month(last) if colon else start
    if start > end:
        raise TaxiError(f"The months {text!r} run backwards.", expected=f"the earlier month first: {last}:{first}")
    months = [start]
    while months[-1] < end:
        months.append(next_month(months[-1]))
    return months
