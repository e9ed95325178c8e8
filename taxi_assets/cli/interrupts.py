"""How an interrupt ends a command: with one line and the exit code 130."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""The exit code of a command that a person interrupted."""
_IMPORT = "<frozen importlib._bootstrap>"
_RETRY_SECONDS = 0.05


def take_interrupts() -> None:
    """Lets SIGINT and SIGTERM raise `KeyboardInterrupt`, but not in the middle of an import.

    A module that is imported may swallow what is raised, or raise another error instead.
    """
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) is default:  # Not so in the background, and under `nohup`.
            signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    caller = frame
    while caller and caller.f_code.co_filename != _IMPORT:
        caller = caller.f_back
    if not caller:
        raise KeyboardInterrupt
    signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)


def end_interrupted() -> NoReturn:
    """Ends an interrupted command; another interrupt ends it at once."""
    stop_taking_interrupts()
    with suppress(OSError):
        after_the_key = "\n" if sys.stderr.isatty() else ""
        print(f"{after_the_key}Interrupted.", file=sys.stderr)
    sys.exit(INTERRUPTED)


def stop_taking_interrupts() -> None:
    """Lets SIGINT and SIGTERM end the process at once."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def leave(code: int) -> NoReturn:
    """Ends the process, without the wait for its threads that Python ends with.

    An interrupt in the start of a thread can leave a lock of Python's own taken: that thread never ends.
    """
    atexit._run_exitfuncs()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
