"""A session with the lake: its bucket, how long requests are retried, and clear errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.errors import clear_errors

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


@dataclass(frozen=True)
class LakeSession:
    """What each request to the bucket needs.

    Attributes:
        bucket: The bucket, with Google's client.
        cloud: Where it is.
        retry: Google's own conditions of what is retried, for the seconds of `cloud`.
    """

    bucket: Bucket
    cloud: GoogleCloud
    retry: Any

    def ensure_bucket(self) -> None:
        """Makes sure that the bucket exists.

        Raises:
            TaxiError: It does not.
        """
        if not self.bucket.exists(retry=self.retry):
            raise no_bucket(self.cloud.at_bucket(self.bucket.name))


def no_bucket(cloud: GoogleCloud) -> TaxiError:
    """The error of a bucket that does not exist."""
    return TaxiError(
        f"There is no bucket {cloud.bucket}.",
        expected=f"the bucket that GCS_BUCKET names, at {cloud}",
        found="404 from Cloud Storage",
        intact="every store",
        next_step=f"make it (gcloud storage buckets create gs://{cloud.bucket}), or correct GCS_BUCKET",
    )


@contextmanager
def lake_session(
    cloud: GoogleCloud, doing: str, where: str | None = None, intact: str = "the month as it was before"
) -> Iterator[LakeSession]:
    """A session; Google's errors in the block become clear ones: see `clear_errors`.

    Args:
        cloud: Where the bucket is.
        doing: What the block does: `Storing yellow 2021-01 in the lake`.
        where: The object; None: the bucket.
        intact: What an error leaves as it was.
    """
    with clear_errors(doing, where or f"gs://{cloud.bucket}", intact):
        bucket = cloud.storage().bucket(cloud.bucket)
        from google.cloud.storage.retry import DEFAULT_RETRY

        yield LakeSession(bucket, cloud, DEFAULT_RETRY.with_timeout(cloud.retry_seconds))
