"""The checks of a cleaned month: each passes on good rows, and fails on the bad ones that it is there for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from taxi_assets.components import TaxiPipeline
from taxi_assets.components.taxi_pipeline.checks import clean_checks
from taxi_assets.pipelines import FOLDER
from taxi_assets.trips.clean import Cleaning, clean_file
from taxi_assets.trips.rules import Rule
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.trips.made import HEADER, JANUARY, RULES, csv_file, line

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")

GOOD = [line()] * 98 + [line(passenger_count="0")] * 2
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@pytest.fixture(scope="module")
def pipeline() -> TaxiPipeline:
    document = yaml.safe_load((FOLDER / "yellow" / "defs.yaml").read_text())
    return TaxiPipeline(name="yellow", **document["attributes"])


def cleaned(
    folder: Path, lines: Sequence[str], rules: Sequence[Rule] = RULES["yellow"], header: str = HEADER
) -> Cleaning:
    folder.mkdir()
    return clean_file(
        csv_file(folder, *lines, header=header),
        name="made.csv.gz",
        service=YELLOW,
        month=JANUARY,
        rules=rules,
        folder=folder,
        metadata={},
    )


def results(pipeline: TaxiPipeline, kept: Cleaning, rejected: Cleaning | None = None) -> dict[str, dg.AssetCheckResult]:
    made: Any = clean_checks(pipeline)
    found = made(clean_taxi=kept.kept, rejected_taxi=(rejected or kept).rejected)
    return {result.check_name: result for result in found}


def failed(found: dict[str, dg.AssetCheckResult]) -> dict[str, dg.AssetCheckSeverity]:
    return {name: result.severity for name, result in found.items() if not result.passed}


def test_a_good_month_passes_each(pipeline: TaxiPipeline, tmp_path: Path) -> None:
    found = results(pipeline, cleaned(tmp_path / "good", GOOD))
    assert len(found) >= 6
    assert failed(found) == {}
    assert found["rows_accounted_for"].description == "100 read, 98 kept, 2 rejected"


def test_lost_rows_are_found(pipeline: TaxiPipeline, tmp_path: Path) -> None:
    month, other = cleaned(tmp_path / "month", GOOD), cleaned(tmp_path / "other", GOOD[:-1])
    assert failed(results(pipeline, month, other)) == {"rows_accounted_for": ERROR}


def test_a_kept_row_that_breaks_a_rule_is_found(pipeline: TaxiPipeline, tmp_path: Path) -> None:
    found = results(pipeline, cleaned(tmp_path / "bad", GOOD, rules=[]))
    assert failed(found) == {"no_kept_row_breaks_a_rule": ERROR}
    assert "2 of 100 kept rows" in str(found["no_kept_row_breaks_a_rule"].description)


def test_a_month_without_kept_rows_is_found(pipeline: TaxiPipeline, tmp_path: Path) -> None:
    found = results(pipeline, cleaned(tmp_path / "empty", [line(passenger_count="")] * 3))
    assert failed(found) == {"month_not_empty": ERROR}


def test_newcomers_among_the_vendors_are_named(pipeline: TaxiPipeline, tmp_path: Path) -> None:
    lines = [line(), line(VendorID="99"), line(VendorID="")]
    found = results(pipeline, cleaned(tmp_path / "new", lines))
    assert failed(found) == {"vendors_known": WARN}
    assert str(found["vendors_known"].description).endswith(": 99")


@pytest.mark.parametrize(("stray", "passes"), [(1, True), (2, False)])
def test_stray_pickups_are_tolerated_up_to_a_share(
    pipeline: TaxiPipeline, tmp_path: Path, stray: int, passes: bool
) -> None:
    assert pipeline.most_pickups_outside == 0.01
    lines = [line()] * (100 - stray) + [line(tpep_pickup_datetime="2009-01-01 00:00:00")] * stray
    found = results(pipeline, cleaned(tmp_path / "stray", lines))
    assert failed(found) == ({} if passes else {"pickups_in_the_month": WARN})
    assert found["pickups_in_the_month"].metadata["pickups_outside"].value == stray


def test_columns_that_nobody_knows_are_named(pipeline: TaxiPipeline, tmp_path: Path) -> None:
    found = results(pipeline, cleaned(tmp_path / "new", [f"{line()},7"], header=f"{HEADER},surge"))
    assert failed(found) == {"columns_known": WARN}
    assert str(found["columns_known"].description).endswith(": surge")
