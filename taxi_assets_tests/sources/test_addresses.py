from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.sources.addresses import file_path, folder_name, join, redacted
from taxi_assets.sources.layouts import LAYOUTS, means_absent

SECRET = "https://ann:pw1@data.example:8443/trips?token=pw2#pw3"


def test_layouts_are_the_public_ones_csv_first() -> None:
    addresses = [layout.address("https://host/base/", "green", date(2020, 4, 1)) for layout in LAYOUTS]
    assert addresses == [
        "https://host/base/green/green_tripdata_2020-04.csv.gz",
        "https://host/base/trip-data/green_tripdata_2020-04.parquet",
    ]


def test_query_stays_behind_the_path() -> None:
    assert join(SECRET, "a/b.csv") == "https://ann:pw1@data.example:8443/trips/a/b.csv?token=pw2#pw3"


def test_a_redacted_address_has_no_credentials() -> None:
    assert redacted(SECRET) == "https://data.example:8443/trips"


def test_folders_differ_for_each_address_and_hold_no_credentials() -> None:
    names = {
        folder_name(address)
        for address in (
            SECRET,
            "https://data.example/trips",
            "http://data.example/trips",
            "https://data.example/trips/2",
        )
    }
    assert len(names) == 4
    assert not any("pw" in name or "ann" in name for name in names)
    assert folder_name(SECRET) == folder_name(SECRET.replace("pw1", "another"))


def test_file_addresses() -> None:
    assert file_path("file:///a%20b/c") == Path("/a b/c")
    with pytest.raises(TaxiError, match="absolute path"):
        file_path("file://data/trips")


@pytest.mark.parametrize(
    ("address", "status", "absent"),
    [
        ("https://d37ci6vzurychx.cloudfront.net/trip-data/x.parquet", 403, True),
        ("https://other.example/trip-data/x.parquet", 403, False),
        ("https://other.example/trip-data/x.parquet", 404, True),
        ("https://d37ci6vzurychx.cloudfront.net/trip-data/x.parquet", 500, False),
    ],
)
def test_what_means_not_published(address: str, status: int, absent: bool) -> None:
    assert means_absent(address, status) is absent
