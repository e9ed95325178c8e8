"""The plan of a run: what it loads and why, on a real source and database, and that nothing is changed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from taxi_assets.automation.loaded import MonthSelection
from taxi_assets.automation.plan import Asked, Plan, Step, make_plan, seconds_of
from taxi_assets.errors import TaxiError
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import pipeline_for
from taxi_assets.settings import settings
from taxi_assets.sources.source import TripSource, source_from_settings
from taxi_assets.stores.postgres.connection import OWNER, READER, connect_as
from taxi_assets.trips.months import month_name
from taxi_assets.trips.rules import Rule
from taxi_assets_tests.published import Waiting
from taxi_assets_tests.real_months import EXCERPTS

STORES = ["postgres", "lake", "bigquery"]


def no_source() -> TripSource:
    raise AssertionError("the sample source starts")


def excerpts(folder: Path) -> TripSource:
    return TripSource(EXCERPTS.url, folder)


def plan(pipeline: PipelineSpec, months: list[date], asked: Asked, stores: list[str] = STORES) -> Plan:
    """The plan of a home where nothing is loaded yet."""
    return make_plan(None, MonthSelection(pipeline, stores, months), asked)


def test_on_an_empty_home_all_that_is_published_is_loaded(tmp_path: Path) -> None:
    source = excerpts(tmp_path)
    months = [date(2021, 1, 1), date(2021, 2, 1)]
    found = plan(pipeline_for("yellow"), months, Asked(lambda: source, synthetic=False))
    first, second = found.months
    size = (EXCERPTS.folder / "yellow/yellow_tripdata_2021-01.csv.gz").stat().st_size
    assert (first.step, first.reasons, first.bytes) == (Step.LOAD, ["not loaded yet"], size)
    assert second.step is Step.ABSENT
    assert (found.bytes, found.jobs, found.seconds) == (size, 5, None)
    assert list(found.places) == STORES
    assert "ny_taxi.yellow_cab_data" in found.places["postgres"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_on_this_machine_is_not_fetched_again_unless_forced(tmp_path: Path) -> None:
    source, pipeline, month = excerpts(tmp_path), pipeline_for("yellow"), date(2021, 1, 1)
    source.fetch("yellow", month)
    assert plan(pipeline, [month], Asked(lambda: source, synthetic=False)).bytes == 0
    assert plan(pipeline, [month], Asked(lambda: source, synthetic=False, force=True)).bytes


def test_the_time_of_a_small_month_is_that_of_small_months() -> None:
    large = [(1_000_000, 10.0)] * 9
    small = [(10, 0.5)] * 7
    assert seconds_of(20, [*large, *small]) == 1
    assert seconds_of(2_000_000, [*small, *large]) == 20
    assert seconds_of(2_000_000, []) is None
    assert seconds_of(None, small) is None


def test_the_sample_source_is_not_started_for_months_that_are_not_loaded() -> None:
    months = [date(2021, 1, 1), date(date.today().year, date.today().month, 1)]
    for asked in (Asked(no_source, synthetic=True), Asked(no_source, synthetic=True, force=True)):
        first, newest = plan(pipeline_for("green"), months, asked, ["postgres"]).months
        assert (first.step, first.bytes, first.jobs) == (Step.LOAD, None, 0)
        assert newest.step is Step.ABSENT


def test_a_trial_goes_to_its_schema() -> None:
    found = plan(pipeline_for("green"), [date(2021, 1, 1)], Asked(no_source, synthetic=True, limit=10), ["postgres"])
    assert found.months[0].reasons == ["a trial of 10 rows"]
    assert found.places["postgres"].startswith("trial.green_taxi (")


def test_the_plan_as_plain_values() -> None:
    document = plan(pipeline_for("green"), [date(2021, 1, 1)], Asked(no_source, synthetic=True)).document()
    assert document["months"][0] == {
        "month": "2021-01",
        "step": "load",
        "reasons": ["not loaded yet"],
        "file": None,
        "bytes": None,
        "jobs": 5,
        "seconds": None,
    }
    assert (document["pipeline"], document["source"], document["bigquery_jobs"]) == ("green", "sample", 5)


def planned(
    waiting: Waiting, month: date, *, synthetic: bool = False, pipeline: PipelineSpec | None = None, **asked: object
) -> Plan:
    """The plan for PostgreSQL alone, on the real database."""
    wanted = MonthSelection(pipeline or waiting.pipeline, ["postgres"], [month])
    source = source_from_settings(settings())
    with connect_as(READER, waiting.postgres) as connection:
        return make_plan(connection, wanted, Asked(lambda: source, synthetic, **asked))  # type: ignore[arg-type]


def state(waiting: Waiting) -> tuple[int, int, dict[str, int]]:
    """Loads of the ledger, runs of Dagster, rows of the table."""
    with connect_as(READER, waiting.postgres) as connection:
        ((loads,),) = connection.execute("SELECT count(*) FROM taxi_assets.load_log").fetchall()
    return loads, waiting.instance.get_runs_count(), waiting.rows()


def test_each_reason_is_named_and_nothing_is_changed(waiting: Waiting) -> None:
    month = waiting.months[-1]
    waiting.publish(month, 3)
    measured = planned(waiting, month).measured  # in the tests before
    assert waiting.run(waiting.look()[0][month_name(month)]).success
    before = state(waiting)
    (skipped,) = planned(waiting, month).months
    assert (skipped.step, skipped.reasons) == (Step.SKIP, ["loaded already from the same file"])
    forced = planned(waiting, month, force=True)
    assert forced.months[0].reasons == ["forced"]
    assert forced.bytes == skipped_size(waiting, month)
    assert forced.measured == measured + 1
    assert forced.seconds
    rule = Rule(column="trip_distance", at_most=0)
    changed = waiting.pipeline.model_copy(update={"reject": [*waiting.pipeline.reject, rule]})
    assert planned(waiting, month, pipeline=changed).months[0].reasons == ["loaded by older rules or columns"]
    waiting.publish(month, 5)
    assert planned(waiting, month).months[0].reasons == ["its file changed"]
    assert planned(waiting, month).bytes
    assert state(waiting) == before
    waiting.publish(month, 3)
    with connect_as(OWNER, waiting.postgres) as connection:
        connection.execute(f"DELETE FROM {waiting.schema}.yellow_cab_data".encode())
    (reason,) = planned(waiting, month).months[0].reasons
    assert reason.startswith("lost in postgres: ")


def skipped_size(waiting: Waiting, month: date) -> int | None:
    return source_from_settings(settings()).probe("yellow", month).bytes  # type: ignore[union-attr]


def test_what_the_stores_would_refuse_is_refused(waiting: Waiting) -> None:
    month, other = waiting.months[-1], waiting.months[0]
    waiting.publish(month, 3)
    assert waiting.run(waiting.look()[0][month_name(month)]).success
    for synthetic in (month, other):
        with pytest.raises(TaxiError, match="and these trips are synthetic"):
            planned(waiting, synthetic, synthetic=True)
    with pytest.raises(TaxiError, match="a trial does not replace it"):
        planned(waiting, month, limit=2)
    assert planned(waiting, other, synthetic=True, force=True).months[0].step is Step.LOAD


def test_a_place_that_names_a_month_stands_for_several() -> None:
    months = [date(2021, 1, 1), date(2021, 2, 1)]
    asked = Asked(no_source, synthetic=True)
    several = plan(pipeline_for("yellow"), months, asked, ["lake"]).places["lake"]
    assert several.startswith("gs://taxi-lake/yellow/yellow_{month}.parquet (")
    one = plan(pipeline_for("yellow"), months[:1], asked, ["lake"]).places["lake"]
    assert one.startswith("gs://taxi-lake/yellow/yellow_2021-01.parquet (")
