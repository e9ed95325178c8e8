"""HTTP by the standard library: to import `requests` takes longer than a local service takes to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What a server answers.

    Attributes:
        status: Its HTTP status.
        reason: The status in words.
        headers: Its headers, with names in lower case.
        content: Its body.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


def request(method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout: float) -> Answer:
    """Sends a request over a connection of its own, past any proxy, and follows no redirect.

    Args:
        method: `GET`, `HEAD` or `POST`.
        url: An http or https address.
        headers: The headers.
        body: What is sent.
        timeout: The seconds to wait for a connection, and for each part of the answer.

    Raises:
        ConnectionError: The server does not answer, or not in time.
    """
    parts = urlsplit(url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(str(parts.hostname), parts.port, timeout=timeout)
    try:
        connection.request(method, f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", body, dict(headers))
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response.reason, named, response.read())
    except (OSError, HTTPException) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConnectionError(reason or str(error) or type(error).__name__) from error
    finally:
        connection.close()
