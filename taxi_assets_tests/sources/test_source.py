"""Which source the settings name."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.local.sample_source import SAMPLE_SOURCE
from taxi_assets.settings import Settings, read_settings
from taxi_assets.sources.source import source_from_settings, source_named


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("tlc", "https://d37ci6vzurychx.cloudfront.net"),
        ("mirror", "https://github.com/DataTalksClub/nyc-tlc-data/releases/download"),
    ],
)
def test_public_sources_by_name(tmp_path: Path, name: str, url: str) -> None:
    source = source_from_settings(Settings(taxi_home=tmp_path, taxi_source_url=name))
    assert (source.url, source.folder, source.synthetic) == (url, tmp_path / "raw" / name, False)


def test_each_address_has_a_folder_of_its_own(tmp_path: Path) -> None:
    addresses = ("http://127.0.0.1:8000", "http://127.0.0.1:8001", "file:///data", "https://a.example/trips")
    folders = {
        source_from_settings(Settings(taxi_home=tmp_path, taxi_source_url=address)).folder for address in addresses
    }
    assert len(folders) == 4
    assert {folder.parent for folder in folders} == {tmp_path / "raw"}


@pytest.mark.servers
def test_no_source_named_is_the_sample_source(tmp_path: Path) -> None:
    try:
        small = source_from_settings(Settings(taxi_home=tmp_path, taxi_sample_rows=10))
        large = source_from_settings(Settings(taxi_home=tmp_path, taxi_sample_rows=20))
        assert small.synthetic
        assert small.url.endswith("/rows-10")
        assert {small.folder.name, large.folder.name} == {"sample-10", "sample-20"}
    finally:
        assert SAMPLE_SOURCE.stop(tmp_path)


@pytest.mark.parametrize(
    "real",
    [
        {"postgres_host": "db.example"},
        {"gcs_bucket": "lake"},
    ],
)
def test_synthetic_trips_are_for_embedded_stores_only(tmp_path: Path, real: dict[str, object]) -> None:
    settings = Settings(taxi_home=tmp_path, **real)
    with pytest.raises(TaxiError) as caught:
        source_from_settings(settings)
    text = str(caught.value)
    assert next(iter(real)).upper() in text
    assert all(word in text for word in ("TAXI_SOURCE_URL", "`tlc`", "`mirror`", "file address"))
    assert SAMPLE_SOURCE.running(tmp_path) is None
    assert source_from_settings(settings.model_copy(update={"taxi_source_url": "file:///data"})).url == "file:///data"


@pytest.mark.parametrize("host", ["[::1", "host:port"])
def test_an_address_that_cannot_be_read_is_refused_without_its_password(tmp_path: Path, host: str) -> None:
    address = f"http://me:secret@{host}/trips"
    with pytest.raises(TaxiError, match="TAXI_SOURCE_URL cannot be used: its host or its port") as caught:
        read_settings({"TAXI_SOURCE_URL": address})
    assert "secret" not in str(caught.value)
    with pytest.raises(TaxiError, match="cannot take its file from that source") as caught:
        source_named(address, Settings(taxi_home=tmp_path))
    assert "secret" not in str(caught.value)
