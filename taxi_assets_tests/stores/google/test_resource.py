"""Which Google Cloud the settings name, and with which credentials."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.credentials import find_credentials

SETTING = "GOOGLE_APPLICATION_CREDENTIALS"
SECRET = "_".join(("private", "key"))  # Made up here; a scanner for credentials need not stop at it.


def cloud(**given: object) -> GoogleCloud:
    return GoogleCloud.from_settings(Settings.model_validate(given))


@pytest.mark.parametrize(
    ("given", "kind", "bucket", "project"),
    [
        ({}, "embedded", "taxi-lake", "taxi-local"),
        ({"google_application_credentials": "key.json"}, "embedded", "taxi-lake", "taxi-local"),
        ({"bigquery_dataset": "trial"}, "embedded", "taxi-lake", "taxi-local"),
        ({"gcs_bucket": "b", "gcp_project": "p"}, "google", "b", "p"),
        ({"gcs_bucket": "b"}, "google", "b", None),
        (
            {"storage_emulator_host": "localhost:1", "bigquery_emulator_host": "http://h:2/"},
            "emulator",
            "taxi-lake",
            "taxi-local",
        ),
    ],
)
def test_the_addresses_decide(given: dict[str, object], kind: str, bucket: str, project: str | None) -> None:
    found = cloud(**given)
    assert (found.kind, found.bucket, found.project) == (kind, bucket, project)


def test_an_emulators_address_may_come_without_a_scheme() -> None:
    found = cloud(storage_emulator_host="localhost:1", bigquery_emulator_host="http://h:2/")
    assert (found.storage_url, found.bigquery_url) == ("http://localhost:1", "http://h:2")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"gcp_project": "p"}, "GCS_BUCKET"),
        ({"storage_emulator_host": "localhost:1"}, "BIGQUERY_EMULATOR_HOST"),
        ({"bigquery_emulator_host": "localhost:1", "gcs_bucket": "b"}, "STORAGE_EMULATOR_HOST"),
    ],
)
def test_half_a_configuration_is_refused_with_what_is_missing(given: dict[str, object], missing: str) -> None:
    with pytest.raises(TaxiError) as error:
        cloud(**given)
    assert f"set {missing}" in error.value.details["Next"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "No such file"),
        ("no JSON -----BEGIN s3cret", "no JSON object"),
        ("[]", "no JSON object"),
        (json.dumps({"type": "service_account", SECRET: "s3cret"}), "'service_account' that holds no usable key"),
        (json.dumps({"type": "else", SECRET: "s3cret"}), "'else' that holds no usable key"),
        (json.dumps({SECRET: "s3cret"}), "holds no usable key"),
    ],
)
def test_a_key_file_that_is_no_key_is_named_with_its_setting(tmp_path: Path, text: str | None, found: str) -> None:
    path = tmp_path / "key.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TaxiError) as error:
        GoogleCloud(kind="google", home="", bucket="b", project="p", key_file=str(path), key_setting=SETTING).storage()
    assert found in error.value.details["Found"]
    assert error.value.details["Where"] == f"{path}, named by {SETTING}"
    assert "s3cret" not in str(error.value)


def test_a_service_accounts_key_brings_its_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "key.json"
    account = {"client_email": "loader@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token"}
    path.write_text(json.dumps({"type": "service_account", "project_id": "p", SECRET: key.decode(), **account}))
    credentials, project = find_credentials(path, SETTING)
    assert (credentials.service_account_email, project) == (account["client_email"], "p")
    found = cloud(gcs_bucket="b", google_application_credentials=path)
    monkeypatch.delenv(SETTING, raising=False)
    clients: list[Any] = [found.bigquery(), found.storage()]
    for client in clients:
        assert (client.project, client._credentials.service_account_email) == ("p", account["client_email"])
    assert SETTING not in os.environ
    assert "PRIVATE" not in str(found.model_dump())


def test_a_machine_without_credentials_says_where_it_looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(TaxiError, match="no credentials") as error:
        find_credentials(None, SETTING)
    assert "GOOGLE_SERVICE_ACC_KEY_FILEPATH" in error.value.details["Expected"]
