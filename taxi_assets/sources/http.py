"""A source behind HTTP: one request at a time, its answer sorted into absent, refused, passing, or bytes.

Bodies are taken as they are sent (`Accept-Encoding: identity`): what is hashed and kept is the published file.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests
import urllib3

from taxi_assets.sources.addresses import LOOPBACK, host, shown
from taxi_assets.sources.errors import INTACT, NotFound, SourceError, SourceUnavailable
from taxi_assets.sources.layouts import means_absent
from taxi_assets.sources.record import Validators
from taxi_assets.sources.retry import RetryPolicy, seconds_asked
from taxi_assets.sources.transport import CHUNK_BYTES, Answer, Resume

SAMPLE_HEADER = "X-Taxi-Sample"
"""The header of an answer whose content is made up."""

_PASSING = {408, 425, 429}
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

    def close(self) -> None:
        """Closes its connections."""
        self._session.close()

    @contextmanager
    def open(self, address: str, *, known: Validators | None, resume: Resume | None) -> Iterator[Answer]:
        """As `Transport.open`."""
        headers = _only_if_newer(known) if known else _only_the_rest(resume)
        response = self._ask("GET", address, headers)
        if "Range" in headers and resume and not _fits(response, resume):
            response.close()
            headers = {}
            response = self._ask("GET", address, headers)
        with response:
            if response.status_code == 304 and known:
                yield Answer(known, None, 0, None)
                return
            if response.status_code not in ((200, 206) if "Range" in headers else (200,)):
                raise _refused(response, address)
            offset = resume.offset if resume and response.status_code == 206 else 0
            yield _answer(response, offset, _chunks(response, address))

    def look(self, address: str, *, known: Validators | None = None) -> Answer:
        """As `Transport.look`: by HEAD, and where the server refuses that, by asking for the first byte."""
        try:
            response = self._ask("HEAD", address, _only_if_newer(known) if known else {})
        except SourceError:
            response = self._ask("GET", address, {"Range": "bytes=0-0"})
        with response:
            return Answer(known, None, 0, None) if response.status_code == 304 and known else _answer(response, 0, None)

    def _ask(self, method: str, address: str, headers: Mapping[str, str]) -> requests.Response:
        # A proxy for the world is no way to a server on this machine.
        self._session.trust_env = host(address) not in LOOPBACK
        try:
            response = self._session.request(
                method, address, headers=headers, timeout=self._timeout, stream=True, allow_redirects=True
            )
        except requests.RequestException as error:
            permanent = any(isinstance(cause, _PERMANENT) for cause in _causes(error))
            raise (_unusable if permanent else _unavailable)(address, _reason(error)) from None
        _demand_success(response, address)
        return response


def _demand_success(response: requests.Response, address: str) -> None:
    """Raises what a status means, for every status but 2xx, 304 and 416."""
    status = response.status_code
    if status < 300 or status in (304, 416):
        return
    response.close()
    if means_absent(address, status):
        raise NotFound(f"{_status(response)} at {shown(address)}")
    if status in _PASSING or (status >= 500 and status not in _PERMANENT_OF_5XX):
        raise _unavailable(address, _status(response), seconds_asked(response.headers.get("Retry-After")))
    raise _refused(response, address)


def _only_if_newer(known: Validators) -> dict[str, str]:
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in headers.items() if value}


def _only_the_rest(resume: Resume | None) -> dict[str, str]:
    if not resume or not resume.offset or not resume.validators.strong:
        return {}
    return {"Range": f"bytes={resume.offset}-", "If-Range": resume.validators.strong}


def _fits(response: requests.Response, resume: Resume) -> bool:
    """Whether the answer to a Range goes on where the part ends, in the same version; 200 starts over."""
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


def _answer(response: requests.Response, offset: int, chunks: Iterator[bytes] | None) -> Answer:
    return Answer(_validators(response), _total(response), offset, chunks, SAMPLE_HEADER in response.headers)


def _chunks(response: requests.Response, address: str) -> Iterator[bytes]:
    """The body as it comes, so that nothing that arrived before a cut is lost."""
    try:
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            yield chunk
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
        raise _unavailable(address, _reason(error)) from None


def _reason(error: BaseException) -> str:
    """What happened, in words, without the address: it may carry credentials."""
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
    """The error, and what lies behind it: the libraries wrap one error in another, each in its own way."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        inside = (getattr(seen, "reason", None), *reversed(seen.args), seen.__cause__, seen.__context__)
        seen = next((inner for inner in inside if isinstance(inner, BaseException)), None)


def _status(response: requests.Response) -> str:
    return f"{response.status_code} {response.reason or ''}".strip()


def _unavailable(address: str, found: str, retry_after: float | None = None) -> SourceUnavailable:
    error = SourceUnavailable(
        "The source does not deliver the file now.",
        found=found,
        where=shown(address),
        intact=INTACT,
        next_step="try again later; `taxi doctor` tests the source",
    )
    error.retry_after = retry_after
    return error


def _unusable(address: str, found: str) -> SourceError:
    return SourceError(
        "The source cannot be reached at this address.",
        found=found,
        where=shown(address),
        intact=INTACT,
        next_step="correct TAXI_SOURCE_URL",
    )


def _refused(response: requests.Response, address: str) -> SourceError:
    return SourceError(
        "The source refuses the file.",
        expected="200 OK",
        found=_status(response),
        where=shown(address),
        intact=INTACT,
        next_step="check the address and its credentials in TAXI_SOURCE_URL",
    )
