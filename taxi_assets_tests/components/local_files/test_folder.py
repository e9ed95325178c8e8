"""The watched folder: a file is complete when it lies still between two looks."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from taxi_assets.components.local_files.folder import look, untouched
from taxi_assets.errors import TransientError


def test_a_file_is_complete_at_the_second_look(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    first = look(tmp_path, {})
    assert not first["a.csv"].complete
    with path.open("a") as file:
        file.write("2\n")
    grown = look(tmp_path, first)
    assert not grown["a.csv"].complete
    assert look(tmp_path, grown)["a.csv"].complete
    assert look(tmp_path, grown)["a.csv"].sha256 == hashlib.sha256(b"a\n1\n2\n").hexdigest()


def test_a_file_that_is_only_touched_has_the_same_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    before = look(tmp_path, look(tmp_path, {}))
    os.utime(path, (1, 1))
    after = look(tmp_path, look(tmp_path, before))
    assert after["a.csv"].sha256 == before["a.csv"].sha256
    assert after["a.csv"].changed != before["a.csv"].changed


def test_what_is_left_alone(tmp_path: Path) -> None:
    for name in (".a.csv", "~a.csv", "a.csv.part", "a.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    assert look(tmp_path, {}) == {}
    assert look(tmp_path / "missing", {}) == {}


def test_a_file_that_is_written_to_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    with pytest.raises(TransientError, match="changed or removed"), untouched(path):
        path.write_text("a\n1\n2\n")
    with pytest.raises(TransientError, match="changed or removed"), untouched(path):
        path.unlink()
