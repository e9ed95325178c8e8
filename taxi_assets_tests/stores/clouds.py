"""Loading months into the lake and BigQuery, and looking at what stands there, for the tests of both."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from datetime import date
from pathlib import Path

from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.files import Shape
from taxi_assets.stores.lake.load import LakeLoadResult, store_month
from taxi_assets.stores.lake.manifest import LakeLoad, read_manifest
from taxi_assets.stores.lake.verify import LakeContents, read_back
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.trips.clean import clean_file
from taxi_assets_tests.real_months import RealMonths
from taxi_assets_tests.registry import GREEN
from taxi_assets_tests.stores.cloud_process import load_until
from taxi_assets_tests.stores.months import RUN
from taxi_assets_tests.trips.made import RULES

APRIL_AND_MAY = ["2020-04", "2020-05"]


def store(cloud: GoogleCloud, month: CleanedMonth, shape: Shape = "month") -> LakeLoadResult:
    with tempfile.TemporaryDirectory() as folder:
        return store_month(cloud, month, shape, Path(folder), RUN)


def logged(cloud: GoogleCloud, month: CleanedMonth) -> LakeLoad:
    found = read_manifest(cloud, month.service.name, month.month)
    assert found
    return found


def reading(cloud: GoogleCloud, month: CleanedMonth) -> LakeContents:
    with tempfile.TemporaryDirectory() as folder:
        return read_back(cloud, logged(cloud, month), Path(folder))


def names(cloud: GoogleCloud, prefix: str) -> list[str]:
    """The objects below a prefix, as the bucket lists them."""
    return [blob.name for blob in cloud.storage().list_blobs(cloud.bucket, prefix=prefix)]


def green(real_months: RealMonths, folder: Path, name: str) -> CleanedMonth:
    """A real month of green trips, cleaned."""
    folder = folder / f"green-{name}"
    folder.mkdir()
    path = real_months.path("green", name)
    month = date.fromisoformat(f"{name}-01")
    cleaning = clean_file(
        path,
        name=path.name,
        service=GREEN,
        month=month,
        rules=RULES["green"],
        folder=folder,
        metadata={"source": {"url": path.as_uri()}},
    )
    return CleanedMonth(GREEN, month, cleaning.kept, cleaning.rejected)


def killed_at(moment: str, cloud: GoogleCloud, month: CleanedMonth, shape: Shape) -> None:
    """Loads the month in another process and kills it at that moment, with -9."""
    folder = month.kept.path.parent / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    processes = multiprocessing.get_context("fork")
    arrived, here = processes.Pipe(duplex=False)
    process = processes.Process(target=load_until, args=(moment, cloud, month, shape, folder, here))
    process.start()
    here.close()
    with arrived:
        assert arrived.poll(60)
        assert arrived.recv() == "here"
        process.kill()
        process.join(10)
