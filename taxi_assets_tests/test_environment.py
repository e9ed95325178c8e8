"""What a run reads and writes: made from the settings, carried in the run configuration, compared elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taxi_assets.environment import Environment, environment_of, with_environment
from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings
from taxi_assets.sources.source import source_asked_for


def environment(**settings: Any) -> Environment:
    return Environment.of(Settings(taxi_home=Path("/home"), **settings))


def test_no_secret_is_part_of_it() -> None:
    found = environment(
        taxi_source_url="https://ada:hidden@host/data?token=hidden",
        postgres_host="db",
        postgres_password="hidden",
        storage_emulator_host="http://ada:hidden@emulator:1",
    )
    assert "hidden" not in found.model_dump_json()
    assert found.source.model_dump() == {
        "address": "https://host/data",
        "credentials": "TAXI_SOURCE_URL",
        "synthetic_rows": None,
    }


def test_the_run_configuration_carries_it_and_what_a_person_writes_there_wins() -> None:
    config = {
        "ops": {"a": {"config": {"b": 1}}},
        "execution": {"config": {"environment": {"postgres": {"schema": "x"}}}},
    }
    carried = with_environment(config, environment(postgres_schema="try1", bigquery_dataset="try1"))
    assert carried["ops"] == config["ops"]
    asked = environment_of(carried)
    assert (asked["postgres"]["schema"], asked["bigquery"]["dataset"]) == ("x", "try1")
    assert with_environment(carried, environment()) == carried, "whoever repeats the run changes nothing"


@pytest.mark.parametrize("wrong", [{"postgres": {"host": "a"}}, {"lakes": {}}, {"source": {"address": 3}}])
def test_what_is_no_environment_is_refused(wrong: Any) -> None:
    with pytest.raises(TaxiError, match="not valid"):
        environment().completed(wrong)


PASSWORD = "https://ada:hidden@host/data"


@pytest.mark.parametrize(
    ("asked", "here", "setting"),
    [
        ({"taxi_source_url": PASSWORD}, {}, "TAXI_SOURCE_URL"),
        ({"taxi_source_url": PASSWORD}, {"taxi_source_url": "https://host/data"}, "TAXI_SOURCE_URL"),
        ({"taxi_source_url": PASSWORD}, {"taxi_source_url": "https://ada:hidden@other/data"}, "TAXI_SOURCE_URL"),
        ({"postgres_host": "db"}, {}, "POSTGRES_HOST"),
        ({"postgres_dbname": "other"}, {}, "POSTGRES_DBNAME"),
        ({"gcs_bucket": "mine"}, {}, "GCS_BUCKET"),
        ({"gcs_bucket": "mine"}, {"gcs_bucket": "yours"}, "GCS_BUCKET"),
        ({"storage_emulator_host": "a:1"}, {}, "STORAGE_EMULATOR_HOST"),
        ({"bigquery_emulator_host": "a:1"}, {}, "BIGQUERY_EMULATOR_HOST"),
        ({"gcs_bucket": "b", "gcp_project": "p"}, {"gcs_bucket": "b"}, "GCP_PROJECT"),
    ],
)
def test_another_place_is_refused_with_the_setting(asked: Any, here: Any, setting: str) -> None:
    with pytest.raises(TaxiError) as raised:
        environment(**asked).require(environment(**here))
    text = str(raised.value)
    assert setting in text
    assert "hidden" not in text
    assert set(raised.value.details) == {"Expected", "Found", "Where", "Intact", "Next"}


@pytest.mark.parametrize(
    "asked",
    [
        {"postgres_schema": "try1", "bigquery_dataset": "try1"},
        {"taxi_source_url": "file:///data"},
        {"taxi_sample_rows": 7},
        {"taxi_source_url": "mirror"},
    ],
)
def test_what_needs_no_access_of_its_own_is_done_as_asked(asked: Any) -> None:
    environment(**asked).require(environment(taxi_source_url=PASSWORD))


def test_the_source_is_the_one_of_the_run(tmp_path: Path) -> None:
    here = Settings(taxi_home=tmp_path, taxi_source_url="mirror")
    asked = environment(taxi_source_url="file:///data")
    assert source_asked_for(asked, here).url == "file:///data"
    secret = here.model_copy(update={"taxi_source_url": PASSWORD})
    assert source_asked_for(environment(taxi_source_url=PASSWORD), secret).url == PASSWORD
    with pytest.raises(TaxiError, match="another source"):
        source_asked_for(environment(taxi_source_url=PASSWORD), here)
