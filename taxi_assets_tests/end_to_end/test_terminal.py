"""What a person sees in a terminal: progress bars while files come in and rows go out."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import LONGEST_SECONDS, SCRIPT, Taxi

pytestmark = pytest.mark.e2e


def seen(taxi: Taxi, *words: str) -> str:
    """What `taxi` writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    environment = {
        **taxi.having(POSTGRES_SCHEMA="seen").environment(),
        "TERM": "xterm-256color",
        "COLUMNS": "80",
        "LINES": "40",
    }
    with subprocess.Popen(
        [str(SCRIPT), *words], cwd=taxi.cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(LONGEST_SECONDS) == 0, shown[-2000:].decode(errors="replace")
    os.close(ours)
    return shown.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # The other end is closed.
        return b""


def plain(shown: str) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in re.split(r"[\r\n]+", shown)]


def test_bars_and_a_table_that_fits(taxi: Taxi) -> None:
    lines = plain(seen(taxi, "run", "yellow", "--months", "2019-02", "--only", "postgres"))
    for task in ("fetch yellow 2019-02", "clean yellow 2019-02", "load yellow 2019-02 into"):
        assert any(line.startswith(task) and "━" in line for line in lines), lines
    expected = EXCERPTS.counts("yellow", "2019-02")
    row = ["2019-02", "postgres", f"{expected.rows:,}", f"{expected.kept:,}"]
    assert any(re.split(" {2,}", line)[:4] == row for line in lines), lines
    assert max(len(line) for line in lines if line.startswith("2019-02")) <= 80
    assert not any("Traceback" in line for line in lines)


def test_months_side_by_side_say_how_far_they_are(taxi: Taxi) -> None:
    lines = plain(seen(taxi, "run", "yellow", "--months", "2019-03:2019-04", "--only", "postgres"))
    for month in ("2019-03", "2019-04"):
        assert any(line.startswith(f"load yellow {month} into PostgreSQL: ") for line in lines), lines
    assert any(line.startswith("yellow: 2 loaded, 0 loaded already, 0 failed") for line in lines)


def test_a_table_of_a_query(taxi: Taxi, tmp_path: Path) -> None:
    shown = plain(seen(taxi, "sql", "select 1 as one, 'a [b] c' as text"))
    assert [line.split(maxsplit=1) for line in shown if line] == [["one", "text"], ["1", "a [b] c"]]
