"""Loads a month into the lake or BigQuery up to a moment, and stays there: in a process of its own, to be killed."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from taxi_assets.stores.bigquery import month as bigquery_month
from taxi_assets.stores.bigquery.load import load_month
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake import intents
from taxi_assets.stores.lake import load as lake
from taxi_assets.stores.lake.files import Shape
from taxi_assets.stores.lake.manifest import read_manifest
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.table import TableRef

LAKE_MOMENTS = ("record", "uploading", "put_text", "write_copies", "sweep", "remove_leftovers")
"""The functions that a load calls one after the other; it is killed before one of them, or in the middle of sending."""
BIGQUERY_MOMENTS = ("_sweep", "_load", "_verify_staging", "run_transaction")


def load_until(
    moment: str, cloud: GoogleCloud, month: CleanedMonth, shape: Shape, folder: Path, here: Connection
) -> None:
    """Loads up to that moment, says that it is there, and stays."""

    def stay(*_: Any, **__: Any) -> None:
        here.send("here")
        time.sleep(600)

    if moment == "uploading":
        lake.store_month(cloud, month, shape, folder, progress=stay)
    elif moment in LAKE_MOMENTS:
        setattr(intents if moment == "remove_leftovers" else lake, moment, stay)
        lake.store_month(cloud, month, shape, folder)
    else:
        setattr(bigquery_month, moment, stay)
        load = read_manifest(cloud, month.service.name, month.month)
        assert load
        load_month(cloud, load, TableRef(namespace=str(cloud.dataset), name="trips"))
