"""A failed load job of BigQuery in the platform's shape; other errors of Google's: see `stores/google/errors.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.google.errors import TRANSIENT_REASONS


@contextmanager
def load_job_errors(job: str, uris: Sequence[str], next_step: str) -> Iterator[None]:
    """Names the reason of a failed load job and the object on which it failed.

    Args:
        job: The job, as the error's first words.
        uris: The objects that it reads.
        next_step: What a person does then.
    """
    from google.api_core.exceptions import GoogleAPICallError

    try:
        yield
    except GoogleAPICallError as error:
        causes = [item for item in error.errors or [] if isinstance(item, dict) and item.get("reason")]
        if not causes or error.code in (401, 403):
            raise
        cause = next((item for item in causes if str(item.get("location", "")).startswith("gs://")), causes[0])
        named = [uri for uri in uris if uri in f"{cause.get('location')} {cause.get('message')}"]
        kind = TransientError if cause["reason"] in TRANSIENT_REASONS else TaxiError
        raise kind(
            f"{job} failed.",
            found=f"{cause['reason']}: {' '.join(str(cause.get('message')).split())[:500]}",
            where=", ".join(named) or f"one of {len(uris)} objects, from {uris[0]}",
            intact="the table as it was before",
            next_step=next_step,
        ) from error
