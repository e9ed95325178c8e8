"""Cron as the project checks it: what it takes, Dagster takes."""

from __future__ import annotations

import dagster as dg
import pytest
from pydantic import TypeAdapter, ValidationError

from taxi_assets.yaml_fields import Cron, owners_in

CRON = TypeAdapter(Cron)


@pytest.mark.parametrize(
    "cron",
    [
        "0 5 * * *",
        "*/5 0-6 1,15 JAN-MAR mon-fri",
        "0 6 15 * 7",
        "59 23 31 12 0",
        "0 5 L * *",
        "1-9/2 * * * *",
        "@daily",
    ],
)
def test_a_time_that_dagster_takes_is_taken(cron: str) -> None:
    assert CRON.validate_python(cron) == cron
    dg.ScheduleDefinition(name="x", target="*", cron_schedule=cron)


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("60 5 * * *", "minute 0 to 59"),
        ("0 24 * * *", "hour 0 to 23"),
        ("0 5 0 * *", "day 1 to 31"),
        ("0 5 * 13 *", "month 1 to 12"),
        ("0 5 * * 8", "weekday 0 to 7"),
        ("0 5 * JANUARY *", "month 1 to 12"),
        ("*/0 5 * * *", "minute 0 to 59"),
        ("a b c d e", "minute 0 to 59 and hour 0 to 23 and day"),
        ("0 5 * *", "five fields"),
        ("0 5 * * * *", "five fields"),
        ("@dayly", "five fields"),
        ("", "five fields"),
    ],
)
def test_a_time_that_is_none_is_refused(cron: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CRON.validate_python(cron)
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        dg.ScheduleDefinition(name="x", target="*", cron_schedule=cron)


@pytest.mark.parametrize(
    "text",
    [
        "owners: [team:a, b@c.org]",
        "a:\n  owners:\n    - team:a\n    - b@c.org # a person\n  b: [",
        "{\nowners: [team:a,b@c.org]",
    ],
)
def test_the_owners_of_a_broken_file_are_found(text: str) -> None:
    assert owners_in(text) == ["team:a", "b@c.org"]


def test_a_comment_beside_the_owners_names_none() -> None:
    assert owners_in("owners: [team:a] # or teams as team:name: alerts go to x@y.org") == ["team:a"]
    assert owners_in("owners:\n  - team:a # team:b\n  - c@d.org") == ["team:a", "c@d.org"]


def test_a_file_without_owners_has_none() -> None:
    assert owners_in("type: x") == owners_in("owners:") == owners_in("owners: [nobody]") == []
