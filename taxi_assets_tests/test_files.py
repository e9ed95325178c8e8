"""Folders of unfinished files belong to a living process; everything below the home belongs to its owner alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.files import open_home, private_folder, work_folder, write_private

WORKER = """
import sys
from pathlib import Path
from taxi_assets.files import work_folder
with work_folder(Path(sys.argv[1]), "step") as folder:
    (folder / "file").write_text("kept")
    print(folder, flush=True)
    sys.stdin.read()
"""


def worker(home: Path, *before: str) -> tuple[subprocess.Popen[str], Path]:
    command = [*before, sys.executable, "-c", WORKER, str(home)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def open_to_others(home: Path) -> list[Path]:
    return [path for path in [home, *home.rglob("*")] if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_a_dead_process_leaves_its_folder_and_a_living_one_keeps_it(tmp_path: Path) -> None:
    (dead, left), (living, kept) = worker(tmp_path), worker(tmp_path)
    dead.kill()
    dead.communicate()
    with work_folder(tmp_path, "step") as mine:
        assert not left.exists()
        assert (kept / "file").read_text() == "kept"
        assert mine not in (left, kept)
    living.communicate(timeout=20)
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == [".lock"]


@pytest.mark.root
def test_a_process_of_another_pid_namespace_keeps_its_folder(tmp_path: Path) -> None:
    process, kept = worker(tmp_path, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    with work_folder(tmp_path, "step"):
        assert (kept / "file").read_text() == "kept"
    process.communicate(timeout=20)


def test_threads_with_the_same_name_have_a_folder_each(tmp_path: Path) -> None:
    together = Barrier(8)

    def work(number: int) -> str:
        for _ in range(20):
            with work_folder(tmp_path, "step") as folder:
                assert not list(folder.iterdir())
                (folder / "file").write_text(str(number))
                together.wait(20)
                assert (folder / "file").read_text() == str(number)
                together.wait(20)
        return "done"

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(8))) == {"done"}


def test_folders_of_an_older_version_are_removed_when_their_process_is_dead(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, living = tmp_path / "tmp" / f"clean.{ended.pid}", tmp_path / "tmp" / f"clean.{os.getpid()}"
    for folder in (dead, living):
        folder.mkdir(parents=True)
    with work_folder(tmp_path, "step"):
        assert (dead.exists(), living.exists()) == (False, True)


def test_a_folder_is_its_owners_alone_with_its_parents(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        private_folder(tmp_path / "home" / "raw" / "yellow")
        write_private(tmp_path / "home" / "raw" / "yellow" / "file", "text")
    finally:
        os.umask(old)
    assert open_to_others(tmp_path / "home") == []


def test_what_an_older_version_left_open_is_closed_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "raw" / "yellow").mkdir(parents=True)
    (home / "raw" / "yellow" / "file").write_text("text")
    (home / "raw" / "link").symlink_to(tmp_path / "beside")
    (tmp_path / "beside").mkdir()
    for path in (tmp_path / "beside", home / "raw", home / "raw" / "yellow"):
        path.chmod(0o755)
    (home / "raw" / "yellow" / "file").chmod(0o644)
    open_home(home)
    assert [path for path in open_to_others(home) if path not in (home, home / "raw" / "link")] == []
    assert stat.S_IMODE((tmp_path / "beside").stat().st_mode) == 0o755
    (home / "raw").chmod(0o755)
    private_folder(home / "raw")
    assert stat.S_IMODE((home / "raw").stat().st_mode) == 0o700


def test_a_home_that_cannot_be_written_is_an_error_with_its_parts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for attempt in (private_folder, open_home):
        with pytest.raises(TaxiError, match="cannot be used") as raised:
            attempt(tmp_path / "file" / "home")
        assert set(raised.value.details) == {"Expected", "Found", "Where", "Intact", "Next"}
    with pytest.raises(TaxiError, match="cannot be used"), work_folder(tmp_path / "file", "step"):
        pass


def test_a_home_where_the_system_makes_no_folders_is_an_error_and_no_endless_try() -> None:
    with pytest.raises(TaxiError, match="The folder of all local state cannot be used") as raised:
        private_folder(Path("/proc/none/home"))
    assert raised.value.details["Found"] == "No such file or directory"
