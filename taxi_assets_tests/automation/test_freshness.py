"""Lateness of the newest month: the rule, and the check as Dagster evaluates it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from taxi_assets.automation.freshness import freshness, lateness
from taxi_assets.automation.loaded import Loaded
from taxi_assets.pipeline import Freshness
from taxi_assets.trips.months import month_name, next_month
from taxi_assets_tests.published import Waiting

AUGUST, SEPTEMBER = date(2026, 8, 1), date(2026, 9, 1)
THERE, MISSING = Loaded([], []), Loaded([], ["postgres"])


@pytest.mark.parametrize(
    ("today", "month", "days"),
    [(date(2026, 11, 14), AUGUST, 14), (date(2026, 11, 30), SEPTEMBER, 0), (date(2026, 12, 2), SEPTEMBER, 2)],
)
def test_the_newest_month_that_is_due_is_judged(today: date, month: date, days: int) -> None:
    found = lateness({AUGUST: MISSING, SEPTEMBER: MISSING}, 60, today)
    assert found is not None
    assert (found.month, found.days, found.missing) == (month, days, ["postgres"])


def test_a_month_that_is_there_is_not_late_and_none_is_due_too_early() -> None:
    found = lateness({AUGUST: MISSING, SEPTEMBER: THERE}, 60, date(2027, 1, 1))
    assert found is not None
    assert (found.month, found.missing) == (SEPTEMBER, [])
    assert lateness({AUGUST: MISSING}, 60, date(2026, 10, 30)) is None


def evaluate(waiting: Waiting, days: int) -> dg.AssetCheckEvaluation:
    made = freshness(waiting.pipeline, Freshness(days=days))
    table = dg.AssetSpec(dg.AssetKey(["yellow", "postgres_table"]))
    every = dg.Definitions.merge(made, dg.Definitions(assets=[table], resources=waiting.resources))
    done = every.get_job_def("yellow_freshness").execute_in_process(instance=waiting.instance)
    (found,) = done.get_asset_check_evaluations()
    return found


def test_a_missing_month_warns_until_it_is_loaded(waiting: Waiting) -> None:
    month = waiting.months[-1]
    days = (datetime.now(UTC).date() - next_month(month)).days
    late = evaluate(waiting, max(days - 1, 0))
    assert not late.passed
    assert late.severity == dg.AssetCheckSeverity.WARN
    assert f"yellow {month_name(month)} was due on" in str(late.description)
    assert "is missing in: postgres" in str(late.description)
    waiting.publish(month, 2)
    assert waiting.run(waiting.look()[0][month_name(month)]).success
    assert evaluate(waiting, max(days - 1, 0)).passed
