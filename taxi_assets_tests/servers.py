"""The marker `servers`: every test that starts PostgreSQL, an emulator or the platform has it.

A fixture that starts a server is registered with `starts_server`, and the tests that use it get the marker. A test
without the marker fails where it starts a server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from taxi_assets.local import postgres
from taxi_assets.local.service import LocalServer

F = TypeVar("F", bound=Callable[..., Any])

_fixtures: set[str] = set()
_unmarked: str | None = None


def starts_server(fixture: F) -> F:
    """Registers the function of a fixture, below `@pytest.fixture`."""
    _fixtures.add(fixture.__name__)
    return fixture


def mark(items: list[pytest.Item]) -> None:
    """Marks the tests that use a registered fixture, and the end-to-end tests."""
    for item in items:
        if item.get_closest_marker("e2e") or _fixtures.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


def begin(item: pytest.Item) -> None:
    """Called when a test begins, before its fixtures are set up."""
    global _unmarked
    _unmarked = None if item.get_closest_marker("servers") else item.nodeid


def end() -> None:
    """Called when a test is over: a fixture that ends may need a server, whichever test was the last."""
    global _unmarked
    _unmarked = None


def require_marker() -> None:
    """Fails a test without the marker; called wherever a server is started.

    Raises:
        pytest.fail.Exception: The test that runs is not marked.
    """
    if _unmarked:
        pytest.fail(f"{_unmarked} starts a server without the marker `servers`: see taxi_assets_tests/servers.py")


def guard(patch: pytest.MonkeyPatch) -> None:
    """Makes the local services require the marker."""
    starts: list[tuple[Any, str]] = [(LocalServer, "_start"), (postgres, "_launch")]
    for owner, name in starts:
        patch.setattr(owner, name, _guarded(getattr(owner, name)))


def _guarded(start: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*args: Any, **options: Any) -> Any:
        require_marker()
        return start(*args, **options)

    return guarded
