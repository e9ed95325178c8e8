"""Which stores `taxi run` loads, and what it says where nothing is left to do."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from taxi_assets.cli import run
from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.results import Format
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


def test_detaching_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(run, "messages", lambda: Console(file=said))
    assert run._detach(pipeline_for("green"), [], ["postgres"], RunOptions(), Format.TABLE) == 0
    assert said.getvalue() == "green: nothing for the daemon to run.\n"
