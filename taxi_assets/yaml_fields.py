"""The types of fields of YAML files: a time in cron's notation, a time zone, owners. They check themselves.

Each has a pattern in the JSON schema, so that `dg check yaml` and editors find most mistakes, too.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, WithJsonSchema

from taxi_assets.yaml_mistakes import Refused

_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_CRON = {
    "minute": ("0 to 59", "[0-5]?[0-9]", ""),
    "hour": ("0 to 23", "[01]?[0-9]|2[0-3]", ""),
    "day": ("1 to 31", "0?[1-9]|[12][0-9]|3[01]", "L"),
    "month": ("1 to 12, or JAN to DEC", f"0?[1-9]|1[0-2]|{_MONTHS}|{_MONTHS.lower()}", ""),
    "weekday": ("0 to 7, or SUN to SAT", f"[0-7]|{_DAYS}|{_DAYS.lower()}", f"L[0-7]|([0-7]|{_DAYS})#[1-5]"),
}
"""Field → its values, their pattern, and the pattern of what else it may be."""
_NAMED = "@(hourly|daily|midnight|weekly|monthly|yearly|annually)"
_OWNER = r"team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}"
"""As Dagster takes it."""


def _field_pattern(value: str, other: str) -> str:
    item = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]*)?" + (f"|{other}" if other else "")
    return f"({item})(,({item}))*"


_FIELDS = {name: _field_pattern(value, other) for name, (_, value, other) in _CRON.items()}
_CRON_PATTERN = rf"({_NAMED}|{' +'.join(f'({pattern})' for pattern in _FIELDS.values())})"


def _cron(value: str) -> str:
    if re.fullmatch(_CRON_PATTERN, value.strip()):
        return value
    parts = value.split()
    if len(parts) != len(_FIELDS):
        raise Refused(f"five fields, {', '.join(_FIELDS)}, like `0 5 * * *`")
    wrong = [
        f"{name} {_CRON[name][0]}"
        for part, (name, pattern) in zip(parts, _FIELDS.items(), strict=True)
        if not re.fullmatch(pattern, part)
    ]
    raise Refused(f"{' and '.join(wrong)}, or *; the fields are {', '.join(_FIELDS)}")


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
    words = re.findall(r"[^\s,\[\]'\"#]+", found[1]) if found else []
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
