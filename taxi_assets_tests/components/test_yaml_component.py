"""The JSON schema of the components, by which `dg check yaml` and editors check a file."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import TypeAdapter

from taxi_assets.components import LocalFiles, Summaries, TaxiPipeline
from taxi_assets.components.yaml_component import YamlComponent
from taxi_assets.pipelines import FOLDER

FILES: dict[str, type[YamlComponent]] = {
    "green": TaxiPipeline,
    "yellow": TaxiPipeline,
    "summaries": Summaries,
    "local_files": LocalFiles,
}


def mistakes(name: str, right: str = "", wrong: str = "") -> list[str]:
    """What the schema says of a file in which something is replaced."""
    text = (FOLDER / name / "defs.yaml").read_text()
    assert right in text
    attributes = yaml.safe_load(text.replace(right, wrong, 1))["attributes"]
    schema: dict[str, Any] = FILES[name].get_model_cls().model_json_schema()
    return [str(error.message) for error in Draft202012Validator(schema).iter_errors(attributes)]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_project_is_valid(name: str) -> None:
    assert mistakes(name) == []


@pytest.mark.parametrize(
    ("name", "right", "wrong", "says"),
    [
        ("green", "shape: date", "shape: dates", "'dates' is not one of ['month', 'date']"),
        ("green", "state: running", "state: runing", "'runing' is not one of ['running', 'stopped']"),
        ("green", "service: green", "service: gren", "'gren' is not one of"),
        ("green", "equals: 0", "equal: 0", "'equal' was unexpected"),
        ("green", "equals: 0", "equals: 0, at_most: 1", "is valid under each of"),
        ("green", "0 5 * * *", "0 5 * *", "does not match"),
        ("green", "team:data-platform", "data-platform", "does not match"),
        ("green", "days: 75", "days: -1", "-1 is less than the minimum of 0"),
        ("green", "days: 75", "days: soon", "'soon' is not of type 'integer'"),
        ("green", "schema: mage", "schem: mage", "'schem' was unexpected"),
        ("summaries", "state: running", "state: runing", "'runing' is not one of ['running', 'stopped']"),
        ("local_files", "dataset: files", "dataset: ''", "should be non-empty"),
    ],
)
def test_a_typo_is_found_with_its_key(name: str, right: str, wrong: str, says: str) -> None:
    assert any(says in message for message in mistakes(name, right, wrong)), mistakes(name, right, wrong)


def test_the_schema_of_all_components_has_theirs() -> None:
    of_a_file: Any = TaxiPipeline.get_model_cls()
    schema = TypeAdapter(dict[str, of_a_file]).json_schema()
    attributes = yaml.safe_load((FOLDER / "green" / "defs.yaml").read_text())["attributes"]
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"green": attributes})
    assert not validator.is_valid({"green": {**attributes, "lake": {"shape": "dates"}}})
