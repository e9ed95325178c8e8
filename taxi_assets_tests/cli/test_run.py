"""Which stores `taxi run` loads."""

from __future__ import annotations

import pytest

from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.run import chosen_stores
from taxi_assets.pipelines import pipeline_for


@pytest.mark.parametrize(
    ("only", "stores"),
    [
        ([], ["postgres", "lake", "bigquery"]),
        (["lake,postgres"], ["postgres", "lake"]),
        (["bigquery"], ["lake", "bigquery"]),
        (["bigquery", "postgres"], ["postgres", "lake", "bigquery"]),
    ],
)
def test_a_store_brings_along_what_it_is_loaded_from(only: list[str], stores: list[str]) -> None:
    assert chosen_stores(pipeline_for("green"), only, RunOptions()) == stores
