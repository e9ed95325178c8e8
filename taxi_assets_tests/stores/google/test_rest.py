"""Google's JSON APIs without Google's clients: errors, retries, credentials, pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.local.access import home_secret
from taxi_assets.stores.bigquery.rows import Row, query_rows
from taxi_assets.stores.google import rest
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.rest import bigquery_api, storage_api
from taxi_assets_tests.proxy import Answer, Forward, Proxy, Request, Rule, answer

SECRET = "_".join(("private", "key"))  # Made up here; a scanner for credentials need not stop at it.
NOTHING = "http://127.0.0.1:9"
DOING = "Looking at yellow"


@pytest.fixture
def google() -> Iterator[Proxy]:
    """What stands in for Google; each test says what it answers."""
    with Proxy(NOTHING) as proxy:
        yield proxy


@pytest.fixture
def cloud(google: Proxy, tmp_path: Path) -> GoogleCloud:
    return GoogleCloud(kind="emulator", home=str(tmp_path), storage_url=google.url, bigquery_url=google.url)


def described(cloud: GoogleCloud) -> Any:
    with storage_api(cloud, DOING) as api:
        return api.get("/storage/v1/b/taxi-lake", pageToken=None, fields="name")


def asked(cloud: GoogleCloud) -> list[Row] | None:
    with bigquery_api(cloud, DOING, "a.b") as api:
        return query_rows(api, "SELECT 1")


def test_what_is_missing_is_none(cloud: GoogleCloud, google: Proxy) -> None:
    google.on("GET", "/b/taxi-lake", answer(404, "notFound"))
    google.on("POST", "/queries", answer(404, "notFound"))
    assert described(cloud) is None
    assert asked(cloud) is None
    assert google.requests[0].path == "/storage/v1/b/taxi-lake?fields=name"


def closed(request: Request, forward: Forward) -> Answer:
    """Closes the connection without an answer."""
    return Answer(None)


@pytest.mark.parametrize("first", [answer(503, "backendError"), answer(429, "rateLimitExceeded"), closed])
def test_a_transient_error_is_retried(cloud: GoogleCloud, google: Proxy, first: Rule) -> None:
    google.on("GET", "/b/taxi-lake", first, answer(200, name="taxi-lake"))
    assert described(cloud) == {"name": "taxi-lake"}
    assert len(google.requests) == 2


def test_a_service_that_stays_away_is_given_up(
    cloud: GoogleCloud, google: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GoogleCloud, "retry_seconds", 0.2)
    google.on("GET", "/b/taxi-lake", answer(503), always=True)
    with pytest.raises(TransientError, match=f"{DOING} failed: the service cannot do it now"):
        described(cloud)
    nowhere = cloud.model_copy(update={"storage_url": NOTHING})
    with pytest.raises(TransientError, match="the service does not answer"):
        described(nowhere)


def test_a_refusal_is_clear_and_not_repeated(cloud: GoogleCloud, google: Proxy) -> None:
    google.on("GET", "/b/taxi-lake", answer(403, "forbidden", "no access to the bucket"))
    with pytest.raises(TaxiError, match=f"{DOING} is not permitted") as raised:
        described(cloud)
    assert "no access to the bucket" in raised.value.details["Found"]
    assert raised.value.details["Where"] == "gs://taxi-lake"
    assert len(google.requests) == 1


def test_an_emulator_of_the_users_own_gets_no_secret(cloud: GoogleCloud, google: Proxy) -> None:
    google.on("GET", "/b/taxi-lake", answer(200, name="x"))
    described(cloud)
    assert "Authorization" not in google.requests[0].headers


def test_the_embedded_servers_get_the_secret_of_their_home(
    cloud: GoogleCloud, google: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GoogleCloud, "storage_address", lambda self: google.url)
    google.on("GET", "/b/taxi-lake", answer(200, name="x"))
    described(GoogleCloud(home=cloud.home))
    assert google.requests[0].headers["Authorization"] == f"Bearer {home_secret(Path(cloud.home))}"


def test_google_gets_a_token_for_the_key(google: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    )
    account = {"client_email": "a@p.example", "token_uri": f"{google.url}/token", "project_id": "p"}
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"type": "service_account", SECRET: pem.decode(), **account}))
    google.on("POST", "/token", answer(200, access_token="t0ken", expires_in=3600, token_type="Bearer"))
    google.on("GET", "/b/taxi-lake", answer(200, name="x"))
    monkeypatch.setattr(rest, "STORAGE", google.url)
    assert described(GoogleCloud(kind="google", home="", key_file=str(path), project=None)) == {"name": "x"}
    sent = {name.lower(): value for name, value in google.seen("GET", "/b/")[0].headers.items()}
    assert sent["authorization"] == "Bearer t0ken"


def page(*rows: str, **more: Any) -> dict[str, Any]:
    """A part of the answer to a query of one month a row."""
    fields = [
        {"name": name, "type": kind} for name, kind in (("month", "DATE"), ("at", "TIMESTAMP"), ("rows", "INTEGER"))
    ]
    cells = [{"f": [{"v": row}, {"v": "1609459200000001"}, {"v": None}]} for row in rows]
    job = {"jobId": "j", "location": "EU"}
    return {"jobComplete": True, "jobReference": job, "schema": {"fields": fields}, "rows": cells, **more}


def test_a_query_is_waited_for_and_read_page_by_page(cloud: GoogleCloud, google: Proxy) -> None:
    waiting: dict[str, Any] = {"jobComplete": False, "jobReference": {"jobId": "j", "location": "EU"}}
    google.on("POST", "/bigquery/v2/projects/taxi-local/queries", answer(200, **waiting))
    google.on(
        "GET",
        "/queries/j.*location=EU",
        answer(200, **page("2021-01-01", pageToken="more")),
        answer(200, **page("2021-02-01")),
    )
    at = datetime(2021, 1, 1, 0, 0, 0, 1, UTC)
    assert asked(cloud.model_copy(update={"location": "EU"})) == [
        {"month": date(2021, 1, 1), "at": at, "rows": None},
        {"month": date(2021, 2, 1), "at": at, "rows": None},
    ]
    assert json.loads(google.requests[0].body)["location"] == "EU"
    assert "pageToken=more" in google.requests[2].path


@pytest.mark.parametrize(
    ("reason", "kind"), [("invalidQuery", TaxiError), ("backendError", TransientError), ("notFound", None)]
)
def test_a_query_that_fails_with_a_good_status_fails(
    cloud: GoogleCloud, google: Proxy, reason: str, kind: type[TaxiError] | None
) -> None:
    errors = [{"reason": reason, "message": "the reason"}]
    google.on("POST", "/queries", answer(200, jobComplete=True, jobReference={"jobId": "j"}, schema={}, errors=errors))
    if kind is None:
        assert asked(cloud) is None
        return
    with pytest.raises(kind) as raised:
        asked(cloud)
    assert "the reason" in raised.value.details["Found"]
    assert raised.value.transient is (kind is TransientError)
