"""The runs of one pipeline, beside those of another one of the same service."""

from __future__ import annotations

import time
from uuid import uuid4

import dagster as dg

from taxi_assets.instance.dagster_private import add_backfill
from taxi_assets.instance.history import BACKFILL_TAG, FILE_TAG, last_attempt, months_in_progress
from taxi_assets.pipeline import PipelineSpec

VERSION = "one version of the service's file"


def spec(name: str) -> PipelineSpec:
    table = {"schema": "mage", "table": name}
    return PipelineSpec.model_validate(
        {"name": name, "service": "green", "owners": [], "reject": [], "postgres": table}
    )


def run(pipeline: PipelineSpec, month: str, status: dg.DagsterRunStatus, *, selected: bool = False) -> dg.DagsterRun:
    assets = frozenset({dg.AssetKey(pipeline.key("raw_taxi"))}) if selected else None
    tags = {"dagster/partition": month, FILE_TAG: VERSION}
    return dg.DagsterRun(pipeline.job, str(uuid4()), status=status, tags=tags, asset_selection=assets)


def test_a_run_belongs_to_the_pipeline_of_its_job_or_of_its_assets() -> None:
    # The name of one begins with that of the other.
    green, strict = spec("green"), spec("green_strict")
    started = dg.DagsterRunStatus.STARTED
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(run(green, "2020-04", started))
        instance.add_run(run(strict, "2020-05", started))
        instance.add_run(run(strict, "2020-06", started, selected=True))
        assert months_in_progress(instance, green) == {"2020-04"}
        assert months_in_progress(instance, strict) == {"2020-05", "2020-06"}


def test_a_month_of_a_backfill_is_free_again_when_its_run_ends() -> None:
    green = spec("green")

    @dg.asset(key=green.key("raw_taxi"), partitions_def=dg.MonthlyPartitionsDefinition("2020-01", fmt="%Y-%m"))
    def raw_taxi() -> None:
        """Fetches nothing."""

    repository = dg.Definitions([raw_taxi]).get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        backfill = add_backfill(
            instance,
            repository,
            assets=[raw_taxi.key],
            partitions=["2020-04", "2020-05", "2020-06"],
            time=time.time(),
            title="three months",
            tags={},
            run_config={},
        )
        assert months_in_progress(instance, green) == {"2020-04", "2020-05", "2020-06"}
        for month, status in (("2020-04", dg.DagsterRunStatus.SUCCESS), ("2020-05", dg.DagsterRunStatus.STARTED)):
            of_backfill = run(green, month, status).with_tags({"dagster/partition": month, BACKFILL_TAG: backfill})
            instance.add_run(of_backfill)
        assert months_in_progress(instance, green) == {"2020-05", "2020-06"}


def test_a_run_of_summaries_is_no_load_in_progress() -> None:
    green = spec("green")
    summary = frozenset({dg.AssetKey(["green", "trips_per_day"])})
    tags = {"dagster/partition": "2020-04"}
    started = dg.DagsterRunStatus.STARTED
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(dg.DagsterRun("__ASSET_JOB", status=started, tags=tags, asset_selection=summary))
        assert months_in_progress(instance, green) == set()


def test_an_attempt_of_one_pipeline_is_none_of_the_other() -> None:
    green, strict = spec("green"), spec("green_strict")
    with dg.DagsterInstance.ephemeral() as instance:
        failed = run(green, "2020-04", dg.DagsterRunStatus.FAILURE)
        instance.add_run(failed)
        attempt = last_attempt(instance, green, VERSION)
        assert attempt
        assert (attempt.run_id, attempt.succeeded) == (failed.run_id, False)
        assert last_attempt(instance, strict, VERSION) is None
