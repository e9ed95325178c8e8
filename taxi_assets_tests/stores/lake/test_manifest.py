"""The manifest's text, also of newer code."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from taxi_assets.stores.lake.manifest import LakeLoad
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
