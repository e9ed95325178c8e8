"""The console script."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from taxi_assets.cli.command import main


class Interrupted(ModuleType):
    """A module whose import is interrupted."""

    def __getattr__(self, name: str) -> object:
        raise KeyboardInterrupt


def test_an_interrupt_while_the_command_is_imported_shows_no_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "taxi_assets.cli.app", Interrupted("taxi_assets.cli.app"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
