"""`taxi run --follow`, left by the person who follows."""

from __future__ import annotations

from contextlib import nullcontext

import dagster as dg
import pytest

from taxi_assets.cli.follow import follow
from taxi_assets.cli.screen import messages


def test_a_run_goes_on_when_nobody_follows_it_any_longer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.add_run(dg.DagsterRun(job_name="green_etl", status=dg.DagsterRunStatus.STARTED))
        monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(instance))
        monkeypatch.setattr("taxi_assets.cli.follow.time.sleep", interrupt)
        messages.cache_clear()
        assert follow(run.run_id) == 130
        after = instance.get_run_by_id(run.run_id)
        assert after
        assert after.status == dg.DagsterRunStatus.STARTED
    messages.cache_clear()
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"Interrupted: run {run.run_id} goes on; the UI shows it and can cancel it."
