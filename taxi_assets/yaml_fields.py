"""The types of fields of YAML files: a time in cron's notation, a time zone, owners. They check themselves.

Each has a pattern in the JSON schema, so that `dg check yaml` and editors find most mistakes, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, WithJsonSchema

from taxi_assets.yaml_mistakes import Refused


def _numbers(first: int, last: int) -> set[str]:
    """The numbers, also with a leading zero."""
    return {text for number in range(first, last + 1) for text in (str(number), f"{number:02}")}


_MONTHS = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
_DAYS = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
_CRON: Mapping[str, tuple[str, set[str], str]] = {
    "minute": ("0 to 59", _numbers(0, 59), ""),
    "hour": ("0 to 23", _numbers(0, 23), ""),
    "day": ("1 to 31", _numbers(1, 31), "L"),
    "month": ("1 to 12, or JAN to DEC", _numbers(1, 12) | _MONTHS | {name.lower() for name in _MONTHS}, ""),
    "weekday": (
        "0 to 7, or SUN to SAT",
        set("01234567") | _DAYS | {name.lower() for name in _DAYS},
        f"L[0-7]|([0-7]|{'|'.join(sorted(_DAYS))})#[1-5]",
    ),
}
"""Field → its values in words, its values, and the pattern of what else it may be."""
_ITEM = r"(?:\*|(\w+)(?:-(\w+))?)(?:/[1-9][0-9]*)?"
_NAMED = {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
_OWNER = r"team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}"
"""As Dagster takes it."""


def _is_field(part: str, values: set[str], other: str) -> bool:
    """Whether a part of a cron expression is a list of these values, ranges of them, or something else that matches."""
    for item in part.split(","):
        named = re.fullmatch(_ITEM, item)
        if not (named and values.issuperset(filter(None, named.groups()))) and not (
            other and re.fullmatch(other, item)
        ):
            return False
    return True


def _cron(value: str) -> str:
    if value.strip() in _NAMED:
        return value
    parts = re.split(" +", value.strip())
    if len(parts) != len(_CRON):
        raise Refused(f"five fields, {', '.join(_CRON)}, like `0 5 * * *`")
    wrong = [
        f"{name} {words}"
        for part, (name, (words, values, other)) in zip(parts, _CRON.items(), strict=True)
        if not _is_field(part, values, other)
    ]
    if wrong:
        raise Refused(f"{' and '.join(wrong)}, or *; the fields are {', '.join(_CRON)}")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise Refused("a time zone, like UTC or America/New_York", allowed=available_timezones()) from None
    return value


def _owner(value: str) -> str:
    if not re.fullmatch(_OWNER, value):
        raise Refused("an e-mail address, or a team as team:name", allowed=[f"team:{value.rpartition(':')[2]}"])
    return value


def owners_in(text: str) -> list[str]:
    """The owners that a file names, also one that is no YAML."""
    found = re.search(r"^\s*owners:(.*(?:\n\s*-.*)*)", text, re.MULTILINE)
    without_comments = re.sub(r"(^|\s)#.*", "", found[1]) if found else ""
    words = re.findall(r"[^\s,\[\]'\"]+", without_comments)
    return [word for word in words if re.fullmatch(_OWNER, word)]


def _pattern(pattern: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$", **more})


Cron = Annotated[str, AfterValidator(_cron), _pattern(r"@[a-z]+|[^ ]+( +[^ ]+){4}", examples=["0 5 * * *"])]
"""A time in cron's notation: minute, hour, day, month, weekday."""
TimeZone = Annotated[str, AfterValidator(_time_zone), _pattern(r"[A-Za-z0-9_+/-]+", examples=["UTC"])]
"""A time zone by its name in the tz database."""
Owner = Annotated[str, AfterValidator(_owner), _pattern(_OWNER, examples=["team:data-platform"])]
"""An e-mail address, or a team as `team:name`."""
Count = Annotated[int, Field(strict=True)]
"""A whole number; true is none."""
Number = Annotated[float, Field(strict=True)]
"""A number; true is none."""
