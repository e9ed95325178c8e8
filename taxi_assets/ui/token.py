"""The UI's token, one per home, and the value of the cookie that stands for it.

The token stays the same when `taxi dev` starts again, so that an open page stays logged in. Who removes the file
`{TAXI_HOME}/run/ui_token` ends every link and every cookie at the next start.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from taxi_assets.local.access import ensure_secret, read_secret

COOKIE_SECONDS = 30 * 24 * 60 * 60


@dataclass(frozen=True, repr=False)
class Token:
    """A token, and the cookies that stand for it on one port.

    Attributes:
        value: The token.
        port: The UI's port. Browsers send a cookie to every port of a host: the name tells them apart.
    """

    value: str
    port: int

    @property
    def cookie_name(self) -> str:
        """The name of the cookie."""
        return f"taxi_ui_{self.port}"

    def cookie(self) -> str:
        """A new value of the cookie: when it expires, signed with the token."""
        expires = str(int(time.time()) + COOKIE_SECONDS)
        return f"{expires}.{self._signature(expires)}"

    def is_cookie(self, given: str) -> bool:
        """Whether this is a value of the cookie that has not expired."""
        expires, _, signature = given.partition(".")
        known = _equal(signature, self._signature(expires))
        return known and expires.isdecimal() and time.time() < int(expires)

    def is_token(self, given: str) -> bool:
        """Whether this is the token."""
        return _equal(given, self.value)

    def _signature(self, expires: str) -> str:
        return hmac.new(self.value.encode(), f"cookie {self.port} {expires}".encode(), sha256).hexdigest()


def _equal(one: str, other: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def token_file(home: Path) -> Path:
    """The file of the token."""
    return home / "run" / "ui_token"


def read_token(home: Path) -> str | None:
    """The token; None: there is none, or others could read it."""
    return read_secret(token_file(home))


def ensure_token(home: Path) -> str:
    """The token; written where it is missing."""
    return ensure_secret(token_file(home))
