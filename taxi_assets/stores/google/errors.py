"""Google's errors in the platform's shape: what was done where, whether a retry may succeed, what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from taxi_assets.errors import TaxiError, TransientError

_TRANSIENT_REASONS = {
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "jobRateLimitExceeded",
    "rateLimitExceeded",
}
_CONFLICTS = ("due to concurrent update", "aborted due to concurrent")
_REFUSED = "the roles Storage Object User on the bucket; BigQuery Data Editor and BigQuery Job User on the project"


def is_conflict(error: Exception) -> bool:
    """Whether BigQuery gave up a transaction because another one changed the same table."""
    return any(text in str(error) for text in _CONFLICTS)


def is_passing(error: Exception) -> bool:
    """Whether another try may not meet the error."""
    found = error if isinstance(error, TaxiError) else _clear(error, "", "", "")
    return found is not None and found.transient


@contextmanager
def clear_errors(doing: str, where: str, intact: str = "the month as it was before") -> Iterator[None]:
    """Turns the errors of Google's clients into clear ones.

    Args:
        doing: What is being done: `Storing yellow 2021-01 in the lake`.
        where: The bucket, object or table.
        intact: What an error leaves as it was.

    Raises:
        TransientError: The service cannot be reached, is overloaded, or somebody else changed the same thing.
        TaxiError: It refuses.
    """
    try:
        yield
    except TaxiError:
        raise
    except Exception as error:
        if clear := _clear(error, doing, where, intact):
            raise clear from error
        raise


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
        kind = TransientError if cause["reason"] in _TRANSIENT_REASONS else TaxiError
        raise kind(
            f"{job} failed.",
            found=f"{cause['reason']}: {' '.join(str(cause.get('message')).split())[:500]}",
            where=", ".join(named) or f"one of {len(uris)} objects, from {uris[0]}",
            intact="the table as it was before",
            next_step=next_step,
        ) from error


def _clear(error: Exception, doing: str, where: str, intact: str) -> TaxiError | None:
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.cloud.storage.exceptions import DataCorruption

    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        return _clear(error.cause, doing, where, intact)
    if isinstance(error, GoogleAPICallError):
        return _from_answer(error, doing, where, intact)
    if isinstance(error, DataCorruption):
        return TransientError(
            f"{doing} failed: what arrived is not what was sent.",
            expected="the same CRC32C on both sides",
            found=str(error).partition("\n")[0],
            where=where,
            intact=intact,
            next_step="try again",
        )
    if isinstance(error, ConnectionError | requests.RequestException | TransportError):
        return TransientError(
            f"{doing} failed: the service does not answer.",
            found=f"{type(error).__name__}: {_short(str(error))}",
            where=where,
            intact=intact,
            next_step="try again; a local service is started anew then. `taxi doctor` tests the connections",
        )
    if isinstance(error, GoogleAuthError):
        return TaxiError(
            f"{doing} failed: Google refuses the credentials.",
            expected="credentials that are valid and not revoked",
            found=type(error).__name__,
            where=where,
            intact=intact,
            next_step="make a new key, or run `gcloud auth application-default login`; then `taxi doctor`",
        )
    return None


def _from_answer(error: object, doing: str, where: str, intact: str) -> TaxiError:
    code, message = int(getattr(error, "code", 0) or 0), _short(str(getattr(error, "message", error)))
    reasons = {str(item.get("reason")) for item in getattr(error, "errors", None) or [] if isinstance(item, dict)}
    found = f"{code} {message}".strip()
    if is_conflict(Exception(message)) or code == 412:
        return TransientError(
            f"{doing} met another change of the same thing.",
            expected="one load of a month at a time",
            found=found,
            where=where,
            intact=intact,
            next_step="try again",
        )
    if code in (408, 429) or code >= 500 or reasons & _TRANSIENT_REASONS:
        return TransientError(
            f"{doing} failed: the service cannot do it now.",
            found=found,
            where=where,
            intact=intact,
            next_step="try again later",
        )
    if code in (401, 403):
        expected, next_step = _REFUSED, "grant these roles to the account of the credentials, or use another account"
        return TaxiError(f"{doing} is not permitted.", expected=expected, found=found, where=where, intact=intact,
                         next_step=next_step)  # fmt: skip
    missing = "does not exist: " if code == 404 else ""
    next_step = "make it, or correct the setting; `taxi doctor` tests them" if missing else "read the reason above"
    return TaxiError(f"{doing} failed.", found=missing + found, where=where, intact=intact, next_step=next_step)


def _short(text: str) -> str:
    return " ".join(text.split())[:500]
