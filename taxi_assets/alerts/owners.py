"""Who is told: the owners of assets, and their mail addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster import RepositoryDefinition


def owners_of(repository: RepositoryDefinition | None, assets: Iterable[dg.AssetKey]) -> tuple[str, ...]:
    """The owners that the pipelines' YAML files name for these assets, each once."""
    if repository is None:
        return ()
    graph = repository.asset_graph
    found = (owner for key in assets if graph.has(key) for owner in graph.get(key).owners)
    return tuple(dict.fromkeys(found))


def addresses(owners: Sequence[str], teams: str) -> tuple[str, ...]:
    """The mail addresses of owners.

    Args:
        owners: Mail addresses, or `team:name`.
        teams: What TAXI_ALERT_TEAMS says.
    """
    of_team: dict[str, list[str]] = {}
    for entry in filter(None, (part.strip() for part in teams.split(","))):
        team, _, address = entry.partition("=")
        of_team.setdefault(team.strip(), []).append(address.strip())
    found: list[str] = []
    for owner in owners:
        found += of_team.get(owner.removeprefix("team:"), []) if owner.startswith("team:") else [owner]
    return tuple(dict.fromkeys(found))
