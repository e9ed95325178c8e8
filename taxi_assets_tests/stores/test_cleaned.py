"""Cleaned months on this machine: each by its content, the current one named, old ones swept unless they are read."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from taxi_assets.stores.cleaned import KINDS, CleanedFiles
from taxi_assets.trips.clean import Cleaning, clean_file
from taxi_assets.trips.table import TripTable
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.trips.made import HEADER, RULES, line


@pytest.fixture
def files(tmp_path: Path) -> CleanedFiles:
    return CleanedFiles(tmp_path / "home", "yellow", "2021-01")


def clean(folder: Path, rows: int, limit: int | None = None, **more: Any) -> Cleaning:
    """A month of so many rows, of a file of its own."""
    folder = folder / f"work-{rows}-{limit}"
    folder.mkdir(exist_ok=True)
    csv = folder / "trips.csv"
    csv.write_text("\n".join([HEADER, *[line()] * rows, ""]))
    metadata = {"source": {"sha256": f"of {rows}"}, "cleaning": "1", "code": "1", **more}
    return clean_file(
        csv,
        name="trips.csv",
        service=YELLOW,
        month=date(2021, 1, 1),
        rules=RULES["yellow"],
        folder=folder,
        metadata={**metadata, **({"limit": limit} if limit else {})},
        limit=limit,
    )


def put(files: CleanedFiles, run_id: str, rows: int, limit: int | None = None, **more: Any) -> None:
    cleaning = clean(files.home.parent, rows, limit, **more)
    files.put("clean", cleaning.kept, run_id)
    files.put("rejected", cleaning.rejected, run_id)


def found(files: CleanedFiles, *run_ids: str) -> int | None:
    table = files.find("clean", run_ids)
    return table.rows if table else None


def kept(files: CleanedFiles, kind: str = "clean") -> int:
    return len(list((files.home / kind / "yellow").rglob("*.parquet")))


def test_each_run_reads_its_own_rows_and_others_the_newest_full_month(files: CleanedFiles) -> None:
    put(files, "first", 3)
    put(files, "second", 5)
    put(files, "trial", 5, limit=2)
    assert [found(files, name) for name in ("first", "second", "trial", "another")] == [3, 5, 2, 5]
    assert found(files, "retry", "first") == 3, "a retry reads what the run cleaned that it repeats"
    assert files.find("rejected", ["another"]) is not None


def test_the_same_file_rules_code_and_limit_are_one_file(files: CleanedFiles) -> None:
    for number in range(10):
        put(files, f"run {number}", 3)
    assert [kept(files, kind) for kind in KINDS] == [1, 1]
    put(files, "other code", 3, code="2")
    assert kept(files) == 2


def test_ten_cleanings_of_other_files_do_not_fill_the_disk(files: CleanedFiles) -> None:
    for number in range(1, 11):
        put(files, f"run {number}", number)
        put(files, f"trial {number}", number, limit=1)
    assert [kept(files, kind) for kind in KINDS] == [3, 3]
    assert found(files, "another") == 10
    assert found(files, "run 1") is None, "another's rows are not in the place of those that were swept"
    for number in range(30):
        put(files, f"again {number}", 10)
    assert len(list(files.folder("clean").glob("run-*"))) <= 21


READER = """
import sys
from pathlib import Path
from taxi_assets.stores.cleaned import CleanedFiles
table = CleanedFiles(Path(sys.argv[1]), "yellow", "2021-01").find("clean", ["reader", "first"])
print(table.rows, flush=True)
sys.stdin.read()
print(sum(batch.num_rows for batch in table.batches()))
"""


def test_what_another_process_reads_is_not_swept(files: CleanedFiles) -> None:
    put(files, "first", 3)
    command = [sys.executable, "-c", READER, str(files.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin
        assert reader.stdout
        assert reader.stdout.readline() == "3\n"
        for number in range(5, 10):
            put(files, f"run {number}", number)
        assert kept(files) == 3
        reader.stdin.close()
        assert reader.stdout.read() == "3\n"
    put(files, "last", 11)
    assert kept(files) == 2


def legacy(files: CleanedFiles, cleaning: Cleaning) -> None:
    for kind, table in (("clean", cleaning.kept), ("rejected", cleaning.rejected)):
        path = files.legacy(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        table.path.replace(path)


def test_a_month_of_an_older_version_is_read_until_it_is_cleaned_again(files: CleanedFiles) -> None:
    legacy(files, clean(files.home.parent, 4))
    assert found(files, "run") == 4
    put(files, "new", 6)
    assert found(files, "run") == 6
    assert not files.legacy("clean").exists()


def test_a_trial_of_an_older_version_is_no_month(files: CleanedFiles) -> None:
    legacy(files, clean(files.home.parent, 4, limit=2))
    assert found(files, "run") is None
    assert files.matching(lambda table: True, "run") is None


def test_the_rows_of_a_load_are_found_by_what_they_are(files: CleanedFiles) -> None:
    put(files, "loaded", 3)
    put(files, "newer", 5)

    def of_the_load(table: TripTable) -> bool:
        return bool(table.metadata["source"]["sha256"] == "of 3")

    table = files.matching(of_the_load, "summary")
    assert table
    assert table.rows == 3
