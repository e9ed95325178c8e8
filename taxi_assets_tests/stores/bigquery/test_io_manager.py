"""The place under which a month is logged is the place under which it is looked up."""

from __future__ import annotations

from datetime import date

import dagster as dg
import pytest

from taxi_assets.pipelines import pipeline_for
from taxi_assets.settings import settings
from taxi_assets.stores.bigquery.io_manager import BigQueryIOManager
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.postgres.resource import PostgresResource

EMULATORS = {"STORAGE_EMULATOR_HOST": "127.0.0.1:1", "BIGQUERY_EMULATOR_HOST": "127.0.0.1:2"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"BIGQUERY_DATASET": "try1"},
        EMULATORS,
        {**EMULATORS, "GCS_BUCKET": "mine"},
        {**EMULATORS, "GCP_PROJECT": "p"},
    ],
)
def test_logged_and_looked_up_in_one_place(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GCS_BUCKET", "GCP_PROJECT", "BIGQUERY_DATASET", *EMULATORS):
        monkeypatch.setenv(name, environment.get(name, ""))
    settings.cache_clear()
    try:
        manager = BigQueryIOManager(
            cloud=GoogleCloudResource.from_settings(settings()), postgres=PostgresResource.from_settings(settings())
        )
        spec = pipeline_for("green")
        assert spec.bigquery
        names = {"schema": spec.bigquery.namespace, "table": spec.bigquery.name}
        context = dg.build_output_context(definition_metadata=names)
        assert str(manager._location(context)) == spec.location("bigquery", date(2020, 4, 1))
    finally:
        settings.cache_clear()
