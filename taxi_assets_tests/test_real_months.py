"""The excerpts of real months: whole, small, and with everything that makes the full months hard."""

from __future__ import annotations

import hashlib

import pytest

from taxi_assets_tests.real_months import COUNTS, EXCERPTS, FULL_MONTHS

PUBLISHED = {
    "green 2020-03": (223_406, 168_499),
    "green 2020-04": (35_612, 22_812),
    "green 2020-05": (57_360, 29_127),
    "green 2020-06": (63_109, 35_492),
    "green 2020-07": (72_257, 39_306),
    "green 2020-08": (81_063, 42_910),
    "green 2020-09": (87_987, 45_322),
    "yellow 2020-12": (10_000, 9_132),
    "yellow 2019-02": (10_000, 8_421),
    "yellow 2021-01": (22_792, 22_303),
}
"""Rows of full months and the kept ones among them, counted with another program."""


@pytest.mark.parametrize("file", PUBLISHED)
def test_full_months_have_their_published_counts(file: str) -> None:
    counts = FULL_MONTHS.counts(*file.split())
    assert (counts.rows, counts.kept) == PUBLISHED[file]


def test_every_file_has_its_checksum_and_all_are_small() -> None:
    lines = (EXCERPTS.folder / "SHA256SUMS").read_text().splitlines()
    sums = {name.removeprefix("./"): digest for digest, _, name in (line.partition("  ") for line in lines)}
    assert sums.keys() == {*COUNTS["excerpts"], "misc/taxi_zone_lookup.csv"}
    for name, digest in sums.items():
        assert hashlib.sha256((EXCERPTS.folder / name).read_bytes()).hexdigest() == digest, name
    files = [path for path in EXCERPTS.folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000


@pytest.mark.parametrize("file", COUNTS["excerpts"])
def test_an_excerpt_holds_every_reason_and_stray_of_its_month(file: str) -> None:
    excerpt, full = COUNTS["excerpts"][file], COUNTS["full_months"][file]
    assert excerpt["strays"] == full["strays"]
    assert excerpt["rejected"].keys() == full["rejected"].keys()
    assert min(5, full["negative"]) <= excerpt["negative"]
    assert excerpt["rows"] == excerpt["kept"] + sum(excerpt["rejected"].values()) < full["rows"]


def test_the_readme_has_the_counts() -> None:
    rows = [line.split("|")[1:4] for line in (EXCERPTS.folder / "README.md").read_text().splitlines() if "| `" in line]
    found = {name.strip(" `"): (int(rows.replace(",", "")), int(kept.replace(",", ""))) for name, rows, kept in rows}
    assert found == {name: (counts["rows"], counts["kept"]) for name, counts in COUNTS["excerpts"].items()}
