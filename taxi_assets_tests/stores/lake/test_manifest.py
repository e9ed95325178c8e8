"""The manifest's text, also of newer code."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.manifest import LakeLoad, manifest_name, read_manifest, read_manifests
from taxi_assets.stores.lake.objects import LakeObject
from taxi_assets.stores.month import LoadEntry
from taxi_assets_tests.stores.months import JANUARY

ENTRY = LoadEntry("lake", "yellow", JANUARY, "gs://lake/", 5, 3, 2, 30, 20, loaded_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_keys_of_newer_code_are_left_out() -> None:
    item = LakeObject("yellow/a.parquet", 3, 100, "crc=", 7)
    load = LakeLoad(ENTRY, "lake", "month", (item,), item)
    text = json.loads(load.to_json())
    text["weather"] = text["entry"]["weather"] = text["objects"][0]["weather"] = text["rejected"]["weather"] = "rain"
    assert LakeLoad.from_json(json.dumps(text)) == load


def test_a_manifest_of_before_pipelines_had_names_is_of_the_pipeline_of_its_services_name() -> None:
    item = LakeObject("night/a.parquet", 3, 100, "crc=", 7)
    text = json.loads(LakeLoad(replace(ENTRY, pipeline="night"), "lake", "month", (item,), item).to_json())
    assert LakeLoad.from_json(json.dumps(text)).entry.pipeline == "night"
    del text["entry"]["pipeline"]
    assert LakeLoad.from_json(json.dumps(text)).entry.pipeline == "yellow"


@pytest.mark.parametrize("text", ["{", "[]", '{"entry": {}}'])
def test_a_damaged_manifest_is_named(cloud: GoogleCloud, text: str) -> None:
    cloud.storage().bucket(cloud.bucket).blob(manifest_name("yellow", "2021-01")).upload_from_string(text)
    with pytest.raises(TaxiError, match=r"_loads/yellow/2021-01\.json"):
        read_manifest(cloud, "yellow", JANUARY)
    with pytest.raises(TaxiError, match="cannot be read"):
        read_manifests(cloud, "yellow")
