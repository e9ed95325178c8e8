"""The lines of a month's process: each as it comes, those of an error together."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from taxi_assets.cli import local_backfill

ERROR = ["Error: no", "  Found:    one", "  Next:     two"]
FAILED = ["green 2020-04 failed. The file is none.", "  Found:    one"]


def test_a_line_comes_at_once_and_an_error_together(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[list[str]] = []
    monkeypatch.setattr(local_backfill, "_print", lambda lines: printed.append(lines) if lines else None)
    read, write = os.pipe()

    class Process:
        stderr = os.fdopen(read)

    with os.fdopen(write, "w") as file:
        file.write("\n".join(["waiting", *ERROR, *FAILED, "more", ""]))
    process: Any = Process()
    local_backfill._pass_on(process)
    assert printed == [["waiting"], ERROR, FAILED, ["more"]]


def test_a_line_is_printed_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    command = "echo waiting >&2; read line; echo more >&2"
    with subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:

        def note(lines: list[str]) -> None:
            printed.extend(lines)
            # It writes its next line only after the first one is printed.
            if lines == ["waiting"] and process.stdin:
                process.stdin.close()

        monkeypatch.setattr(local_backfill, "_print", note)
        local_backfill._pass_on(process)
    assert printed == ["waiting", "more"]
