"""A source behind HTTP. A response means absent, refused, unavailable, or bytes.

Bodies are not decoded (`Accept-Encoding: identity`): what is hashed and kept is the published file.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import requests
import urllib3

from taxi_assets.sources.addresses import LOOPBACK, host, redacted
from taxi_assets.sources.errors import CORRECT, NotFound, SourceError, SourceUnavailable
from taxi_assets.sources.layouts import means_absent
from taxi_assets.sources.retry import RetryPolicy, parse_retry_after
from taxi_assets.sources.transport import CHUNK_BYTES, Resume, SourceResponse, Validators

SAMPLE_HEADER = "X-Taxi-Sample"
"""The header of a response with synthetic content."""

_TRANSIENT = {408, 425, 429}
_PERMANENT_OF_5XX = {501, 505}
_PERMANENT = (
    ssl.SSLCertVerificationError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.TooManyRedirects,
)


class HttpTransport:
    """Reads from web servers over one session."""

    def __init__(self, retry_policy: RetryPolicy) -> None:
        self._timeout = (retry_policy.connect_timeout, retry_policy.read_timeout)
        self._session = requests.Session()
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": "taxi_assets"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._session.close()

    @contextmanager
    def open(self, address: str, *, known: Validators | None, resume: Resume | None) -> Iterator[SourceResponse]:
        """As `Transport.open`."""
        headers = _only_if_newer(known) if known else _only_the_rest(resume)
        response = self._request("GET", address, headers)
        if "Range" in headers and resume and not _continues(response, resume):
            response.close()
            headers = {}
            response = self._request("GET", address, headers)
        with response:
            if response.status_code == 304 and known:
                yield SourceResponse(known, None, 0, None)
                return
            if response.status_code not in ((200, 206) if "Range" in headers else (200,)):
                raise _refused(response, address)
            offset = resume.offset if resume and response.status_code == 206 else 0
            yield _source_response(response, offset, _chunks(response, address))

    def head(self, address: str, *, known: Validators | None = None) -> SourceResponse:
        """As `Transport.head`: by HEAD, or by GET for the first byte where the server refuses HEAD."""
        try:
            response = self._request("HEAD", address, _only_if_newer(known) if known else {})
        except SourceError:
            response = self._request("GET", address, {"Range": "bytes=0-0"})
        with response:
            if response.status_code == 304 and known:
                return SourceResponse(known, None, 0, None)
            return _source_response(response, 0, None)

    def _request(self, method: str, address: str, headers: Mapping[str, str]) -> requests.Response:
        # A proxy does not lead to a server on this machine.
        self._session.trust_env = host(address) not in LOOPBACK
        try:
            response = self._session.request(
                method, address, headers=headers, timeout=self._timeout, stream=True, allow_redirects=True
            )
        except requests.RequestException as error:
            permanent = any(isinstance(cause, _PERMANENT) for cause in _causes(error))
            raise (_unusable if permanent else _unavailable)(address, _error_text(error)) from None
        _require_success(response, address)
        return response


def _require_success(response: requests.Response, address: str) -> None:
    """Raises the error of every status but 2xx, 304 and 416."""
    status = response.status_code
    if status < 300 or status in (304, 416):
        return
    response.close()
    if means_absent(address, status):
        raise NotFound(f"{_status(response)} at {redacted(address)}")
    if status in _TRANSIENT or (status >= 500 and status not in _PERMANENT_OF_5XX):
        raise _unavailable(address, _status(response), parse_retry_after(response.headers.get("Retry-After")))
    raise _refused(response, address)


def _only_if_newer(known: Validators) -> dict[str, str]:
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in headers.items() if value}


def _only_the_rest(resume: Resume | None) -> dict[str, str]:
    if not resume or not resume.offset or not resume.validators.strong:
        return {}
    return {"Range": f"bytes={resume.offset}-", "If-Range": resume.validators.strong}


def _continues(response: requests.Response, resume: Resume) -> bool:
    """Whether the response to a Range begins where the part ends, in the same version; 200 starts over."""
    if response.status_code == 200:
        return True
    begins = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    same = _validators(response).strong in (None, resume.validators.strong)
    return response.status_code == 206 and begins is not None and int(begins[1]) == resume.offset and same


def _validators(response: requests.Response) -> Validators:
    return Validators(response.headers.get("ETag"), response.headers.get("Last-Modified"))


def _total(response: requests.Response) -> int | None:
    """The size of the whole file, from Content-Range or Content-Length."""
    if response.status_code == 206:
        whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    elif response.status_code == 200:
        whole = response.headers.get("Content-Length", "")
    else:
        whole = ""
    return int(whole) if whole.isdigit() else None


def _source_response(response: requests.Response, offset: int, chunks: Iterator[bytes] | None) -> SourceResponse:
    return SourceResponse(_validators(response), _total(response), offset, chunks, SAMPLE_HEADER in response.headers)


def _chunks(response: requests.Response, address: str) -> Iterator[bytes]:
    """The body's bytes as they arrive, so that a cut loses nothing that arrived before it."""
    try:
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            yield chunk
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
        raise _unavailable(address, _error_text(error)) from None


def _error_text(error: BaseException) -> str:
    """The error in words, without the address, which may carry credentials."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if isinstance(cause, urllib3.exceptions.IncompleteRead | http.client.IncompleteRead):
            return "the connection was cut in the middle of the file"
    if any(isinstance(cause, urllib3.exceptions.TimeoutError | TimeoutError) for cause in chain):
        return "no answer in time"
    return type(chain[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes: each library wraps errors in its own way."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        nested = (getattr(seen, "reason", None), *reversed(seen.args), seen.__cause__, seen.__context__)
        seen = next((inner for inner in nested if isinstance(inner, BaseException)), None)


def _status(response: requests.Response) -> str:
    return f"{response.status_code} {response.reason or ''}".strip()


def _unavailable(address: str, found: str, retry_after: float | None = None) -> SourceUnavailable:
    error = SourceUnavailable(
        "The source does not deliver the file now.",
        found=found,
        where=redacted(address),
    )
    error.retry_after = retry_after
    return error


def _unusable(address: str, found: str) -> SourceError:
    return SourceError(
        "The source cannot be reached at this address.",
        found=found,
        where=redacted(address),
        next_step=CORRECT,
    )


def _refused(response: requests.Response, address: str) -> SourceError:
    return SourceError(
        "The source refuses the file.",
        expected="200 OK",
        found=_status(response),
        where=redacted(address),
        next_step=f"{CORRECT}; it may need credentials, which belong in TAXI_SOURCE_URL",
    )
