"""The rows of a query, by BigQuery's JSON API alone: see `stores/google/rest.py`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from taxi_assets.errors import TransientError
from taxi_assets.stores.bigquery.resource import JOB_SECONDS
from taxi_assets.stores.bigquery.values import READERS
from taxi_assets.stores.google.rest import JsonApi

WAIT_MILLISECONDS = 10_000
"""How long BigQuery waits for the end of a query before it answers."""

Row = dict[str, Any]


def query_rows(api: JsonApi, query: str) -> list[Row] | None:
    """The rows of a query that reads; None: there is no such table.

    Raises:
        TransientError: It takes too long.
    """
    path = f"/bigquery/v2/projects/{api.project}/queries"
    location = {"location": api.cloud.job_location} if api.cloud.job_location else {}
    form = {"useInt64Timestamp": True}
    body = {"query": query, "useLegacySql": False, "timeoutMs": WAIT_MILLISECONDS, "formatOptions": form, **location}
    answer = api.post(path, body)
    rows: list[Row] = []
    until = time.monotonic() + JOB_SECONDS
    while answer is not None and not _is_missing(answer):
        rows += _rows(answer)
        if answer["jobComplete"] and not answer.get("pageToken"):
            return rows
        if time.monotonic() > until:
            raise TransientError("A query to BigQuery does not end.", expected=f"an answer within {JOB_SECONDS} s")
        job = answer["jobReference"]
        more = {"timeoutMs": WAIT_MILLISECONDS, "formatOptions.useInt64Timestamp": "true"}
        place = {"location": job.get("location"), "pageToken": answer.get("pageToken")}
        answer = api.get(f"{path}/{job['jobId']}", **more, **place)
    return None


def _is_missing(answer: Mapping[str, Any]) -> bool:
    """Whether a table is missing. The emulator answers as if the query had succeeded, without columns.

    Raises:
        google.api_core.exceptions.BadRequest: The query failed otherwise.
    """
    errors = answer.get("errors") or []
    if not errors or answer.get("schema", {}).get("fields"):
        return False
    if errors[0].get("reason") == "notFound":
        return True
    from google.api_core.exceptions import BadRequest

    raise BadRequest(str(errors[0].get("message")), errors=errors)  # type: ignore[no-untyped-call]


def _rows(answer: Mapping[str, Any]) -> list[Row]:
    columns = [(field["name"], READERS.get(field["type"], str)) for field in answer.get("schema", {}).get("fields", [])]
    return [
        {
            name: None if cell["v"] is None else read(cell["v"])
            for (name, read), cell in zip(columns, row["f"], strict=True)
        }
        for row in answer.get("rows", [])
    ]
