"""Which embedded services a load starts, and that they start side by side."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

from taxi_assets.local import services
from taxi_assets.local.services import EmbeddedService, begin_starting
from taxi_assets.settings import Settings

ALL = {"PostgreSQL", "sample source", "Cloud Storage emulator", "BigQuery emulator"}


@pytest.mark.parametrize(
    ("stores", "source", "names"),
    [
        (["postgres", "lake", "bigquery"], None, ALL),
        (["postgres"], None, {"PostgreSQL", "sample source"}),
        (["postgres", "lake"], "tlc", {"PostgreSQL", "Cloud Storage emulator"}),
    ],
)
def test_the_services_of_a_load_start_side_by_side(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores: list[str], source: str | None, names: set[str]
) -> None:
    together, started = threading.Barrier(len(names)), queue.Queue[str]()

    def service(name: str) -> EmbeddedService:
        def start(settings: Settings) -> str:
            together.wait(timeout=30)
            started.put(name)
            return ""

        return EmbeddedService(lambda settings: True, start, lambda home: False, lambda home: None)

    monkeypatch.setattr(services, "SERVICES", {name: service(name) for name in ALL})
    begin_starting(Settings(taxi_home=tmp_path), stores, source)
    assert {started.get(timeout=30) for _ in names} == names


def test_a_service_that_runs_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def start(settings: Settings) -> str:
        raise AssertionError("it runs already")

    running = EmbeddedService(lambda settings: True, start, lambda home: False, lambda home: "its address")
    monkeypatch.setattr(services, "SERVICES", dict.fromkeys(ALL, running))
    before = threading.active_count()
    begin_starting(Settings(taxi_home=tmp_path), ["lake", "bigquery"])
    assert threading.active_count() == before
