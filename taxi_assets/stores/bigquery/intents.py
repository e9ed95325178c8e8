"""Which month of the lake is being loaded into BigQuery: recorded before, so that a lost answer starts no second load.

The record is an object in the bucket, where all who load the month meet: `_intents/{table}/{month}.json`. Its version
is part of the ids of the load's jobs. Who finds the record of the same month of the lake asks BigQuery for these jobs.
Who finds one of an older month ends its transaction first; who finds one of a newer month stops.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from taxi_assets.errors import TransientError
from taxi_assets.stores.bigquery.resource import JOB_SECONDS, BigQuerySession
from taxi_assets.stores.google.errors import is_conflict
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.lake.objects import put_text, remove_leftovers
from taxi_assets.stores.lake.resource import LakeSession
from taxi_assets.stores.table import TableRef

if TYPE_CHECKING:
    from google.cloud import bigquery

ATTEMPTS = 10
CANCEL_SECONDS = 120
"""How long a transaction may take to end that was cancelled."""


@dataclass(frozen=True)
class Intent:
    """A load of a month of the lake into a table.

    Attributes:
        name: The name of its record.
        content: What is loaded into which table, hashed.
        lake: The version of the lake's manifest.
        job: What the names of its jobs hold: `yellow_2021-01`.
        generation: The version of the record.
    """

    name: str
    content: str
    lake: int
    job: str
    generation: int = 0

    @classmethod
    def of(cls, table: TableRef, load: LakeLoad) -> Intent:
        """The intent to load that month into that table, not recorded yet."""
        objects = sorted((item.name, item.crc32c, item.rows) for item in load.contents.values())
        content = hashlib.sha256(json.dumps([str(table), load.month, load.generation, objects]).encode())
        name = f"_intents/{table}/{load.month}.json"
        return cls(name, content.hexdigest(), load.generation, f"{load.entry.pipeline}_{load.month}")

    @property
    def key(self) -> str:
        """The part of names of jobs and staging tables that no other load has."""
        return hashlib.sha256(f"{self.content} {self.generation}".encode()).hexdigest()[:12]

    @property
    def transactions(self) -> Iterator[str]:
        """The ids of the transaction's jobs, of which each follows one that met a conflict."""
        return (f"taxi_replace_{self.job}_{self.key}_{number}" for number in count())


def register(session: BigQuerySession, bucket: LakeSession, wanted: Intent, *, again: bool) -> tuple[Intent, bool]:
    """Records an intent, or finds it recorded.

    Args:
        session: BigQuery.
        bucket: The bucket of the record.
        wanted: The intent.
        again: Whether to record it once more where it is recorded.

    Returns:
        The intent, and whether it was recorded before.

    Raises:
        TransientError: A newer month is being loaded, or too many loads are.
    """
    from google.api_core.exceptions import PreconditionFailed

    for _ in range(ATTEMPTS):
        found = read_intent(bucket, wanted)
        if found and found.content == wanted.content and not again:
            return found, True
        if found:
            _end(session, found, wanted)
        text = json.dumps({"content": wanted.content, "lake": wanted.lake, "load": uuid4().hex}, indent=1)
        with suppress(PreconditionFailed):
            generation = put_text(bucket, wanted.name, text, found.generation if found else 0)
            return Intent(**{**vars(wanted), "generation": generation}), False
    raise TransientError(
        f"Too many loads of {wanted.job} into BigQuery begin at the same time.",
        where=f"gs://{bucket.bucket.name}/{wanted.name}",
        intact="the month as it was before",
        next_step="find out who loads the same month; then try again",
    )


def read_intent(bucket: LakeSession, wanted: Intent) -> Intent | None:
    """The intent that is recorded for the month and table of another; None: no load is under way."""
    from google.api_core.exceptions import NotFound

    while blob := bucket.bucket.get_blob(wanted.name, retry=bucket.retry):
        version = bucket.bucket.blob(wanted.name, generation=int(blob.generation))
        with suppress(NotFound):
            parts = json.loads(version.download_as_bytes(retry=bucket.retry))
            return Intent(wanted.name, parts["content"], int(parts["lake"]), wanted.job, int(blob.generation))
    return None


def require_current(bucket: LakeSession, intent: Intent) -> None:
    """Makes sure that no other load was recorded since.

    Raises:
        TransientError: One was.
    """
    blob = bucket.bucket.get_blob(intent.name, retry=bucket.retry)
    if blob is None or int(blob.generation) != intent.generation:
        raise _another(intent, "another load of the month began, or ended, since")


def forget(bucket: LakeSession, intent: Intent) -> None:
    """Removes the record of a load that is done."""
    remove_leftovers(bucket, [bucket.bucket.blob(intent.name, generation=intent.generation)])


def find_commit(session: BigQuerySession, intent: Intent) -> bigquery.QueryJob | None:
    """The job that committed the load's transaction, after waiting for it; None: there is none."""
    from google.api_core.exceptions import GoogleAPICallError

    for job in _jobs(session, intent):
        try:
            job.result(retry=session.retry, job_retry=None, timeout=JOB_SECONDS)
        except GoogleAPICallError as error:
            if job.state != "DONE":
                raise
            if not is_conflict(error):
                return None
        else:
            return cast("bigquery.QueryJob", job)
    return None


def _jobs(session: BigQuerySession, intent: Intent) -> Iterator[Any]:
    from google.api_core.exceptions import NotFound

    for job_id in intent.transactions:
        try:
            yield session.client.get_job(job_id, retry=session.retry)
        except NotFound:
            return


def _end(session: BigQuerySession, found: Intent, wanted: Intent) -> None:
    """Ends the transactions of another load, whose caller may be gone.

    Raises:
        TransientError: They do not end, or load a newer month.
    """
    if found.lake > wanted.lake:
        raise _another(wanted, f"version {found.lake} of the lake's manifest is being loaded; this is {wanted.lake}")
    deadline = time.monotonic() + CANCEL_SECONDS
    for job in _jobs(session, found):
        if job.state != "DONE":
            job.cancel(retry=session.retry)
        while not job.done(retry=session.retry):
            if time.monotonic() > deadline:
                raise _another(wanted, f"its job {job.job_id} does not end, though it was cancelled")
            time.sleep(0.5)


def _another(intent: Intent, found: str) -> TransientError:
    return TransientError(
        f"Another load of {intent.job} into BigQuery is under way.",
        expected="one load of a month at a time",
        found=found,
        where=intent.name,
        intact="the month as it was before; the other load goes on",
        next_step="try again when it is done",
    )
