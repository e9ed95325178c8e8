"""A pipeline's YAML: what is wrong with it is said when it is loaded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from taxi_assets.pipelines import FOLDER
from taxi_assets.yaml_files import InvalidYaml

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")

Change = Callable[[dict[str, Any]], object]
YAML = yaml.safe_load((FOLDER / "green" / "defs.yaml").read_text())


def load(document: dict[str, Any]) -> dg.Definitions:
    with create_defs_folder_sandbox() as sandbox:
        folder: Path = sandbox.defs_folder_path / "green"
        folder.mkdir(parents=True)
        (folder / "defs.yaml").write_text(yaml.safe_dump(document))
        with sandbox.load_component_and_build_defs(defs_path=folder) as (_, definitions):
            return definitions


def test_the_file_as_it_is_loads() -> None:
    made = load(YAML).assets or ()
    keys = {key.to_user_string() for asset in made if isinstance(asset, dg.AssetsDefinition) for key in asset.keys}
    assert {f"green/{name}" for name in ("raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table")} <= keys


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a.update(service="purple"), ["attributes.service", "one of: fhv, green, yellow"]),
        (lambda a: a["reject"][0].update(equals=3), ["exactly one of `missing: true`"]),
        (lambda a: a["reject"][2].update(column="trip_distanze"), ["trip_distanze", "a column of numbers of green"]),
        (lambda a: a["reject"][2].update(column="store_and_fwd_flag"), ["a column of numbers of green"]),
        (lambda a: a["reject"][0].update(colour="red"), ["colour"]),
        (lambda a: a.update(most_pickups_outside=2), ["most_pickups_outside"]),
        (lambda a: a.update(jobb="x"), ["jobb"]),
        (lambda a: a.pop("reject"), ["attributes.reject"]),
        (lambda a: a["postgres"].pop("table"), ["table"]),
        (lambda a: a.update(postgres={"dataset": "a", "table": "b"}), ["postgres", "the keys schema and table"]),
        (lambda a: a.update(postgres={"namespace": "a", "name": "b"}), ["postgres", "the keys schema and table"]),
        (lambda a: a["bigquery"].update(project="p"), ["bigquery", "the keys dataset and table"]),
        (lambda a: a["postgres"].update(schema="{{ env.A }}"), ["postgres", "a template"]),
        (lambda a: a["schedule"].update(cron="{{ env.A }}"), ["schedule", "a template"]),
    ],
)
def test_what_is_wrong_is_named(change: Change, says: list[str]) -> None:
    document = copy.deepcopy(YAML)
    change(document["attributes"])
    with pytest.raises(Exception) as raised:  # noqa: PT011
        load(document)
    cause: BaseException = raised.value
    while cause.__cause__:
        cause = cause.__cause__
    assert isinstance(cause, InvalidYaml)
    for text in says:
        assert text in str(cause)


def test_a_service_without_amounts_and_vendors_is_checked_by_what_it_has() -> None:
    document = copy.deepcopy(YAML)
    rules = [{"column": "pu_location_id", "missing": True}]
    document["attributes"] |= {"service": "fhv", "reject": rules, "lake": {"shape": "month"}}
    checks = {check.name: check for each in load(document).asset_checks or () for check in each.check_specs}
    assert "vendors_known" not in checks
    assert "zones_known" in checks
    described = str(checks["agrees_with_clean_taxi"].description)
    assert described.startswith("Rows (these trips have no amounts) in ")
    ours = {check.name: check for each in load(YAML).asset_checks or () for check in each.check_specs}
    assert ours.keys() - checks.keys() == {"vendors_known"}
    described = str(ours["agrees_with_clean_taxi"].description)
    assert described.startswith("Rows and whole cents of total_amount in ")
