"""Rules as the YAML of a pipeline declares them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from taxi_assets.trips.rules import Rule, check_rules, matching_rules
from taxi_assets.yaml_mistakes import Refused
from taxi_assets_tests.registry import GREEN, YELLOW
from taxi_assets_tests.trips.made import MISSING, NO_DISTANCE, ZERO


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"missing": True}, "passenger_count missing"),
        ({"equals": 0}, "passenger_count = 0"),
        ({"equals": 1.5}, "passenger_count = 1.5"),
        ({"at_most": 0}, "passenger_count <= 0"),
        ({"at_most": -2.5}, "passenger_count <= -2.5"),
        ({"equals": 0, "reason": "nobody aboard"}, "nobody aboard"),
    ],
)
def test_a_rule_says_its_reason(declared: dict[str, Any], reason: str) -> None:
    assert Rule(column="passenger_count", **declared).reason == reason


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"column": "a"},
        {"missing": True},
        {"column": "a", "missing": False},
        {"column": "a", "missing": True, "equals": 0},
        {"column": "a", "equals": 0, "at_most": 0},
        {"column": "a", "equals": "0"},
        {"column": "a", "equals": True},
        {"column": "a", "at_most": float("nan")},
        {"column": "a", "at_least": 0},
    ],
)
def test_what_is_no_rule_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate(declared)


def test_the_first_rule_that_fits_counts() -> None:
    trips = pa.RecordBatch.from_pydict(
        {
            "passenger_count": pa.array([None, 0, 0, 1, 1, 1, None], pa.int16()),
            "trip_distance": pa.array([0.0, 0.0, 2.0, 0.0, -1.5, 2.0, None]),
        }
    )
    assert matching_rules(trips, [MISSING, ZERO, NO_DISTANCE]).to_pylist() == [0, 1, 1, 2, 2, None, 0]
    assert matching_rules(trips, [NO_DISTANCE, ZERO, MISSING]).to_pylist() == [0, 0, 1, 0, 0, None, 2]
    assert matching_rules(trips, []).to_pylist() == [None] * 7


@pytest.mark.parametrize(
    "rule",
    [
        Rule(column="passengers", missing=True),
        Rule(column="store_and_fwd_flag", equals=1),
        Rule(column="tpep_pickup_datetime", at_most=1),
        Rule(column="reason", missing=True),
    ],
)
def test_a_rule_that_does_not_suit_the_service_is_refused(rule: Rule) -> None:
    with pytest.raises(Refused) as caught:
        check_rules([MISSING, rule], YELLOW)
    assert (caught.value.below, caught.value.word) == ((1, "column"), rule.column)
    assert "passenger_count" in caught.value.expected


def test_rules_that_suit_are_taken() -> None:
    check_rules([MISSING, ZERO, NO_DISTANCE, Rule(column="lpep_pickup_datetime", missing=True)], GREEN)
