"""The credentials for Google Cloud: a key file, or what the machine already has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
KEY_SETTINGS = ("google_application_credentials", "google_service_acc_key_filepath")
"""The settings that may name a key file, the first that is set wins; the second one is Mage's name for it."""


def credentials_path(settings: Settings) -> tuple[str, Path | None]:
    """The name of the setting that names a key file, and the file; the first name and None where none is set."""
    for name in KEY_SETTINGS:
        if path := getattr(settings, name, None):
            return name.upper(), Path(path)
    return KEY_SETTINGS[0].upper(), None


def find_credentials(path: Path | None, setting: str) -> tuple[Any, str | None]:
    """Credentials and the project they belong to.

    Args:
        path: A key file; None: application default credentials, as `gcloud auth application-default login` or a
            machine of Google's provides them.
        setting: The setting that named the file.

    Raises:
        TaxiError: There is no such file, it holds no key, or the machine has no credentials. No part of the key is
            shown.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    if path:
        return _from_file(path, setting)
    try:
        credentials, project = google.auth.default(scopes=SCOPES)
    except GoogleAuthError:
        raise TaxiError(
            "There are no credentials for Google Cloud.",
            expected=f"a key file named by {KEY_SETTINGS[0].upper()} or {KEY_SETTINGS[1].upper()}, or credentials of "
            "this machine (gcloud's application default credentials, or a service account of the machine)",
            found="none of them",
            intact="every store",
            next_step="run `gcloud auth application-default login`, or set one of the two",
        ) from None
    return credentials, project


def _from_file(path: Path, setting: str) -> tuple[Any, str | None]:
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    try:
        key = json.loads(path.read_text())
        if not isinstance(key, dict):
            raise ValueError
    except OSError as error:
        raise _no_key(path, setting, error.strerror or "it cannot be read") from None
    except ValueError:
        raise _no_key(path, setting, "a file that is no JSON object") from None
    try:
        if key.get("type") == "service_account":
            account = service_account.Credentials.from_service_account_info(key, scopes=SCOPES)  # type: ignore[no-untyped-call]
            return account, key.get("project_id")
        credentials, project = google.auth.load_credentials_from_dict(key, scopes=SCOPES)  # type: ignore[no-untyped-call]
        return credentials, project
    except (GoogleAuthError, ValueError, KeyError, TypeError):
        kind = f"of type {key['type']!r} " if isinstance(key.get("type"), str) else ""
        raise _no_key(path, setting, f"a JSON file {kind}that holds no usable key") from None


def _no_key(path: Path, setting: str, found: str) -> TaxiError:
    return TaxiError(
        "The key file for Google Cloud cannot be used.",
        expected="the JSON key of a service account, or other credentials of Google's in a JSON file",
        found=found,
        where=f"{path}, named by {setting}",
        intact="every store",
        next_step=f"let {setting} name a key file, or unset it to use the credentials of this machine",
    )
