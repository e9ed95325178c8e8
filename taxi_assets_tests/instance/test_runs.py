"""The errors of a run in this process."""

from __future__ import annotations

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.instance.runs import _explain_definition_errors


def test_an_error_of_the_project_is_not_wrapped_in_another() -> None:
    """Else it prints two lines `Found:`."""
    cause = TaxiError("A pipeline's file is no YAML.", found="a tab", where="defs/green/defs.yaml")
    with pytest.raises(TaxiError) as raised, _explain_definition_errors():
        raise RuntimeError("Dagster's") from cause
    assert raised.value is cause


def test_another_error_is_found_at_its_cause() -> None:
    with pytest.raises(TaxiError, match=r"The pipelines cannot be loaded\.") as raised, _explain_definition_errors():
        raise RuntimeError("Dagster's") from ValueError("no such key")
    assert raised.value.details["Found"] == "no such key"
