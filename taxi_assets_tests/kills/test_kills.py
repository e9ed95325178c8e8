"""Kills in every phase of a load: each reader of each store sees whole versions, and nothing is left over."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from taxi_assets_tests.faulty_server import FaultyServer
from taxi_assets_tests.kills.campaign import PHASES, Campaign, prepare
from taxi_assets_tests.kills.readers import postgres, watching
from taxi_assets_tests.kills.versions import NAMES, Month, months
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.taxi_command import Taxi

pytestmark = pytest.mark.e2e

SEED = int(os.environ.get("KILLS_SEED") or random.SystemRandom().randrange(2**31))
"""Print it, and set KILLS_SEED to repeat a campaign."""


@pytest.fixture(scope="module")
@starts_server
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    """A platform of its own with a source of its own."""
    with FaultyServer() as web:
        taxi = Taxi(tmp_path_factory.mktemp("killed") / "home", tmp_path_factory.mktemp("elsewhere"))
        taxi = prepare(taxi, web)
        taxi.well("up")
        yield _Killed(taxi.home, taxi.cwd, taxi.settings, web)
        taxi.well("down")


@dataclass(frozen=True)
class _Killed(Taxi):
    web: FaultyServer | None = None


def run(taxi: Taxi, times: int, loaded: list[Month]) -> Campaign:
    assert isinstance(taxi, _Killed)
    assert taxi.web
    print(f"KILLS_SEED={SEED}")
    campaign = Campaign(taxi, taxi.web, loaded, SEED)
    observed = campaign.kill(times, verify_after=max(6, times // 10))
    print(f"killed: {dict(campaign.killed)}; ended before: {campaign.ended}; looks: {dict(observed.looks)}")
    assert not observed.errors
    assert not observed.violations
    assert not campaign.orphans()
    return campaign


def test_six_kills(killed: Taxi) -> None:
    month = months(copies=1)[SEED % 2]
    assert run(killed, 6, [month]).killed.total() >= 4


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_sixty_kills(killed: Taxi) -> None:
    campaign = run(killed, 60, months(copies=10))
    assert campaign.killed.total() >= 50
    assert set(campaign.killed) >= set(PHASES)


def test_a_commit_before_its_check_is_caught(killed: Taxi) -> None:
    assert isinstance(killed, _Killed)
    assert killed.web
    month = months(1)[0]
    campaign = Campaign(killed, killed.web, [month], SEED)
    campaign.load(month, NAMES[0], "--only", "postgres")
    campaign.publish(month, NAMES[1])
    command = [sys.executable, "-m", "taxi_assets_tests.kills.planted", "run", month.service, "--months", month.name]
    with watching({"postgres": postgres(killed, month)}) as observed:
        subprocess.run(
            [*command, "--only", "postgres", "--force"], env=killed.environment(), check=True, capture_output=True
        )
    assert not observed.errors
    assert observed.violations
