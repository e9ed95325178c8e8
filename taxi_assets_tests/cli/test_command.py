"""The console script, and how an interrupt ends it."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from taxi_assets.cli.command import main
from taxi_assets.cli.interrupts import take_interrupts


class Interrupted(ModuleType):
    """A module whose import is interrupted."""

    def __getattr__(self, name: str) -> object:
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Handlers as a command finds them, also where Dagster set its own in this process."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupt_while_the_command_is_imported_shows_a_line_and_no_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "taxi_assets.cli.app", Interrupted("taxi_assets.cli.app"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_module_that_is_imported_swallows_no_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    name = f"swallows_{number}"
    lines = ("import signal", "try:", f"    signal.raise_signal({number})", "except BaseException:", "    pass")
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    take_interrupts()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        importlib.import_module(name)
        time.sleep(5)
    assert name in sys.modules


def test_a_command_in_the_background_is_not_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_interrupts()
    signal.raise_signal(signal.SIGINT)


def test_an_interrupted_process_ends_though_a_thread_of_it_never_does() -> None:
    lines = (
        "import atexit, threading",
        "from taxi_assets.cli import command",
        "def main():",
        "    threading.Thread(target=threading.Event().wait).start()",
        "    print('said')",
        "    raise SystemExit(130)",
        "atexit.register(print, 'at exit')",
        "command.main = main",
        "command.script()",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "said\nat exit\n")
