"""What the sample source says of a file, by the standard library alone: see `local/client.py`."""

from __future__ import annotations

from taxi_assets.local.client import request
from taxi_assets.sources.errors import NotFound, SourceUnavailable
from taxi_assets.sources.transport import SourceResponse, Validators

ANSWER_SECONDS = 600
"""How long it may take: the first request for a month waits until its rows are generated."""


def sample_head(address: str, *, known: Validators | None = None) -> SourceResponse:
    """As `Transport.head`; the version is always described in full.

    Raises:
        NotFound: It has no such month.
        SourceUnavailable: It does not answer.
    """
    try:
        answer = request("HEAD", address, headers={}, timeout=ANSWER_SECONDS)
    except ConnectionError as error:
        raise SourceUnavailable("The sample source does not answer.", found=str(error), where=address) from None
    found = f"{answer.status} {answer.reason}"
    if answer.status == 404:
        raise NotFound(f"{found} at {address}")
    if answer.status != 200:
        raise SourceUnavailable("The sample source fails.", found=found, where=address)
    validators = Validators(answer.headers.get("etag"), answer.headers.get("last-modified"))
    return SourceResponse(validators, int(answer.headers["content-length"]), 0, None, synthetic=True)
