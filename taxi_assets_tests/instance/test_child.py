"""The folder of the code servers' sockets."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from taxi_assets.instance.child import join_parent, socket_folder


def test_it_is_private_and_without_the_sockets_of_the_dead(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "code"
    folder.mkdir(parents=True, mode=0o755)
    with socket.socket(socket.AF_UNIX) as alive, socket.socket(socket.AF_UNIX) as dead:
        for server, name in ((alive, "alive"), (dead, "dead")):
            server.bind(str(folder / name))
        alive.listen()
        with socket_folder(tmp_path) as found:
            assert found == folder
            assert sorted(file.name for file in folder.iterdir()) == ["alive"]
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["deep" * 25, "a home", "a,b", "größe", "a%20b", "it's"])
def test_it_is_a_temporary_one_where_the_path_of_the_home_is_no_address(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    with socket_folder(home) as found, socket.socket(socket.AF_UNIX) as server:
        assert not found.is_relative_to(home)
        assert found.stat().st_mode & 0o777 == 0o700
        server.bind(str(found / "tmp12345678"))
    assert not found.exists()


def test_the_names_of_sockets_come_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr("taxi_assets.instance.child._end_with_parent", lambda: None)
    join_parent(tmp_path)
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == tmp_path
