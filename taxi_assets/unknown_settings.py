"""Names in the shell and in files that look like settings and are none: `GCS_BUKET`.

In a file, every name with a prefix of the platform counts. The shell also holds the variables of other programs: there,
the prefix must be one that hardly another program uses, or the name must be near to a setting's.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from taxi_assets.settings import Settings, places

NAMES = tuple(field.upper() for field in Settings.model_fields)
PREFIXES = ("TAXI_", "POSTGRES_", "GCS_", "BIGQUERY_")
FILE_PREFIXES = (*PREFIXES, "GCP_")
NEAR = 0.85
"""The ratio of `difflib` above which a name is a typo of another."""

_FOREIGN = re.compile(
    # PostgreSQL's image in Docker, a service of Kubernetes that is called postgres, other emulators of Google.
    r"POSTGRES_(DB|INITDB_ARGS|INITDB_WALDIR|HOST_AUTH_METHOD)|POSTGRES_(DB|USER|PASSWORD|INITDB_ARGS)_FILE"
    r"|POSTGRES_(SERVICE_.*|PORT_\d+_.*)|(DATASTORE|FIRESTORE)_EMULATOR_HOST"
)


@dataclass(frozen=True)
class UnknownSetting:
    """A name that is no setting.

    Attributes:
        name: The name.
        place: `shell`, or the file's name.
        nearest: The setting whose name is nearest; None: none is near.
    """

    name: str
    place: str
    nearest: str | None

    def __str__(self) -> str:
        hint = f"did you mean {self.nearest}?" if self.nearest else "`taxi doctor` lists all settings"
        return f"{self.name} ({self.place}) is no setting, and has no effect: {hint}"


def unknown_settings(shell: Mapping[str, str] | None = None) -> list[UnknownSetting]:
    """The names that look like settings and are none, in the order of the places.

    Raises:
        TaxiError: A file cannot be read, or the profile has none.
    """
    found = places(os.environ if shell is None else shell)
    return [unknown for place, names in found.items() for name in names if (unknown := _unknown(name, place))]


def _unknown(name: str, place: str) -> UnknownSetting | None:
    if name in NAMES or _FOREIGN.fullmatch(name):
        return None
    nearest = next(iter(difflib.get_close_matches(name.upper(), NAMES, 1, NEAR)), None)
    prefixes = PREFIXES if place == "shell" else FILE_PREFIXES
    return UnknownSetting(name, place, nearest) if nearest or name.upper().startswith(prefixes) else None
