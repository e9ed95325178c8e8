"""What a person sees in a terminal: progress bars while files come in and rows go out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import subprocess
import termios
from pathlib import Path

import pytest

from taxi_assets_tests.faulty_server import Fault, FaultyServer
from taxi_assets_tests.published import csv_body
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import LONGEST_SECONDS, SCRIPT, Taxi

pytestmark = pytest.mark.e2e


def seen(taxi: Taxi, *words: str, interrupt_at: str | None = None, code: int = 0, width: int = 80) -> str:
    """What `taxi` writes to a terminal of so many columns; Ctrl-C is typed when it writes that text."""
    ours, theirs = pty.openpty()
    environment = {
        **taxi.having(POSTGRES_SCHEMA="seen").environment(),
        "TERM": "xterm-256color",
        "COLUMNS": str(width),
        "LINES": "40",
    }
    with subprocess.Popen(
        [str(SCRIPT), *words],
        cwd=taxi.cwd,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
            if interrupt_at and interrupt_at.encode() in shown:
                os.write(ours, b"\x03")
                interrupt_at = None
        assert process.wait(LONGEST_SECONDS) == code, shown[-2000:].decode(errors="replace")
    os.close(ours)
    return shown.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # The other end is closed.
        return b""


def plain(shown: str) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in re.split(r"[\r\n]+", shown)]


def test_a_bar_a_month_a_line_a_task_and_a_table_that_fits(taxi: Taxi) -> None:
    # A file that an earlier test fetched is not fetched again, and has no line then.
    lines = plain(seen(taxi, "run", "yellow", "--months", "2019-02", "--only", "postgres", "--force"))
    for task in ("fetch yellow 2019-02", "clean yellow 2019-02", "load yellow 2019-02 into PostgreSQL"):
        assert sum(line.startswith(f"{task}: ") for line in lines) == 1, lines
    assert any("yellow 2019-02" in line and "━" in line for line in lines), lines
    assert not any(line.startswith("all months") for line in lines)
    expected = EXCERPTS.counts("yellow", "2019-02")
    row = ["2019-02", "postgres", f"{expected.rows:,}", f"{expected.kept:,}"]
    assert any(re.split(" {2,}", line)[:4] == row for line in lines), lines
    assert max(len(line) for line in lines if "━" in line or line.startswith("2019-02")) <= 80
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("width", [80, 60])
def test_the_result_of_synthetic_months_is_a_table(taxi: Taxi, width: int) -> None:
    synthetic = taxi.having(TAXI_SOURCE_URL="", TAXI_SAMPLE_ROWS="2000")
    shown = seen(synthetic, "run", "green", "--months", "2019-02:2019-03", "--only", "postgres", "--force", width=width)
    lines = [line for line in plain(shown) if line]
    heading = lines.index("In the stores:") + 1
    assert lines[heading].split()[:4] == ["month", "store", "read", "kept"]
    months = [line.split("  ")[0] for line in lines[heading + 1 : heading + 3]]
    assert months == ["2019-02 (synthetic)", "2019-03 (synthetic)"]
    below = [line for line in lines if line == "postgres: seen.green_taxi"]
    assert len(below) == (1 if width == 60 else 0)
    for month in ("2019-02", "2019-03"):
        assert any(re.fullmatch(rf"Run \S+: green {month}; see it with `taxi dev`.", line) for line in lines), lines
    bars = [line for line in lines if "━" in line]
    assert bars
    assert all(re.search(r"\d:\d\d:\d\d$", line) and len(line) <= width for line in bars), bars


def test_a_log_is_a_table(taxi: Taxi) -> None:
    taxi.well("run", "yellow", "--months", "2019-02", "--only", "postgres")
    lines = [line for line in plain(seen(taxi, "log", "yellow", "--months", "2019-02")) if line]
    assert lines[0].split() == ["when", "pipeline", "month", "store", "kept", "rejected"] or "read" in lines[0]
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1].startswith("No room for: ")


def test_a_bar_for_all_where_several_months_run(taxi: Taxi) -> None:
    lines = plain(seen(taxi, "run", "yellow", "--months", "2019-03:2019-04", "--only", "postgres"))
    for month in ("2019-03", "2019-04"):
        assert any(line.startswith(f"load yellow {month} into PostgreSQL: ") for line in lines), lines
        assert any(f"yellow {month}" in line and "━" in line for line in lines), lines
    assert any(line.startswith("all months") and "━" in line and " of 2" in line for line in lines), lines
    assert sum(line.startswith("2 of 2: ") for line in lines) == 1, lines
    assert any(line.startswith("yellow: 2 loaded, 0 loaded already, 0 failed") for line in lines)


@pytest.mark.parametrize("months", ["2019-02", "2019-02:2019-04"])
def test_ctrl_c_prints_one_line(taxi: Taxi, months: str) -> None:
    with FaultyServer() as server:
        for month in ("2019-02", "2019-03", "2019-04"):
            server.publish(f"/yellow/yellow_tripdata_{month}.csv.gz", csv_body(3))
            server.always_fails(f"/yellow/yellow_tripdata_{month}.csv.gz", Fault(stall_after=50))
        command = ("run", "yellow", "--months", months, "--only", "postgres", "--force")
        stalled = taxi.having(TAXI_SOURCE_URL=server.url)
        shown = seen(stalled, *command, interrupt_at="fetch yellow 2019-02", code=130)
        server.go.set()
    after = [line for line in plain(shown.rpartition("^C")[2]) if line and "━" not in line]
    if ":" in months:
        expected = r"Interrupted: 0 loaded, \d canceled, \d left; the same command goes on."
    else:
        expected = r"Interrupted: the run is canceled; every store has the month as it was, or whole."
    assert len(after) == 1, after
    assert re.fullmatch(expected, after[0]), after


def test_a_trial_shows_the_trial(taxi: Taxi) -> None:
    said = taxi.having(POSTGRES_SCHEMA="").well("run", "yellow", "--months", "2019-05", "--limit", "20")
    lines = [re.split(" {2,}", line.rstrip()) for line in (said.out + said.err).splitlines()]
    (load,) = [line for line in lines if line[0] == "2019-05 (trial: 20 rows)"]
    assert (load[1], load[2], load[-1]) == ("postgres", "20", "trial.yellow_cab_data")


def test_a_wide_table_is_a_list_of_values(taxi: Taxi) -> None:
    shown = plain(seen(taxi, "sql", "select repeat('a', 50) as one, repeat('b', 100) as two, 3 as three"))
    lines = [line for line in shown if line]
    assert lines[0].startswith("-[ 1 ]-")
    assert max(map(len, lines)) <= 80
    assert "".join(lines).count("a") == 50
    assert "".join(lines).count("b") == 100
    assert lines[-1].split() == ["three", "3"]


def test_a_table_of_a_query(taxi: Taxi, tmp_path: Path) -> None:
    shown = plain(seen(taxi, "sql", "select 1 as one, 'a [b] c' as text"))
    assert [line.split(maxsplit=1) for line in shown if line] == [["one", "text"], ["1", "a [b] c"]]
