"""`taxi webhook`: starts pipelines on request from outside, and takes reports."""

from __future__ import annotations

from taxi_assets.settings import settings
from taxi_assets.webhook.server import serve


def listen() -> None:
    """Runs until it is interrupted.

    Raises:
        TaxiError: There is no token, the port is taken, or the database does not answer.
    """
    serve(settings())
