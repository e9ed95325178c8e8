"""The errors of a run in this process."""

from __future__ import annotations

import signal
from contextlib import nullcontext, suppress
from types import SimpleNamespace

import dagster as dg
import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.instance import limits, runs
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


def test_an_interrupt_that_a_library_swallows_keeps_the_run_from_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes while the definitions are imported."""

    def load(name: str) -> SimpleNamespace:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return SimpleNamespace(get_definition=lambda: None)

    monkeypatch.setattr(runs, "reconstructable_job", load)
    monkeypatch.setattr(dg.DagsterInstance, "get", dg.DagsterInstance.ephemeral)
    monkeypatch.setattr(limits, "slot", lambda *_: nullcontext())
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        runs.run_job("job", "2020-04", "green", [], {}, {}, print)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_waits_for_its_slot_is_interrupted_by_each_signal(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(runs, "reconstructable_job", lambda name: SimpleNamespace(get_definition=lambda: None))
    monkeypatch.setattr(dg.DagsterInstance, "get", dg.DagsterInstance.ephemeral)
    monkeypatch.setattr(limits, "slot", lambda *_: signal.raise_signal(number))
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        runs.run_job("job", "2020-04", "green", [], {}, {}, print)
    assert signal.getsignal(number) is before
