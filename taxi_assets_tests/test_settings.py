"""Settings: which place wins, what is shown of them, and the file that lists them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from taxi_assets import settings as module
from taxi_assets.errors import TaxiError
from taxi_assets.settings import PROJECT_ROOT, SOURCES, env_file, read_settings


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root with no files of settings yet."""
    monkeypatch.setattr(module, "PROJECT_ROOT", tmp_path)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text)


def test_without_anything_each_is_the_default(root: Path) -> None:
    found = read_settings({})
    assert (found.postgres_host, found.postgres_port, found.origin("postgres_port")) == (None, 5432, "default")
    assert found.taxi_home == root / ".taxi"


def test_the_first_place_that_names_it_wins(root: Path) -> None:
    places = [".env", ".env.staging", ".env.local"]
    shell = {"TAXI_PROFILE": "staging"}
    write(root, ".env.staging", "")
    assert read_settings(shell).origin("postgres_host") == "default"
    for place in places:
        write(root, place, f"POSTGRES_HOST=of{place}")
        found = read_settings(shell)
        assert (found.postgres_host, found.origin("postgres_host")) == (f"of{place}", place)
    found = read_settings({**shell, "POSTGRES_HOST": "mine"})
    assert (found.postgres_host, found.origin("postgres_host")) == ("mine", "shell")


def test_the_profile_may_stand_in_a_file(root: Path) -> None:
    write(root, ".env.local", "TAXI_PROFILE=trial")
    write(root, ".env.trial", "POSTGRES_SCHEMA=trial")
    assert read_settings({}).postgres_schema == "trial"
    assert read_settings({"POSTGRES_SCHEMA": "other"}).postgres_schema == "other"


def test_a_profile_without_a_file_is_refused(root: Path) -> None:
    with pytest.raises(TaxiError, match=r"The profile 'none' has no file\.") as raised:
        read_settings({"TAXI_PROFILE": "none"})
    assert ".env.none" in str(raised.value)


def test_an_empty_value_means_the_default_and_wins_too(root: Path) -> None:
    write(root, ".env.local", "POSTGRES_HOST=db.example.com\nPOSTGRES_PORT=")
    found = read_settings({"POSTGRES_HOST": ""})
    assert (found.postgres_host, found.origin("postgres_host"), found.postgres_port) == (None, "shell", 5432)


@pytest.mark.parametrize(
    ("name", "value"), [("POSTGRES_PORT", "70000"), ("POSTGRES_PORT", "five"), ("TAXI_SAMPLE_ROWS", "0")]
)
def test_a_value_that_does_not_fit_names_its_place(root: Path, name: str, value: str) -> None:
    write(root, ".env", f"{name}={value}")
    with pytest.raises(TaxiError, match=f"The setting {name} cannot be used: ") as raised:
        read_settings({})
    assert {"Expected", "Found", "Where", "Next"} <= raised.value.details.keys()
    assert (raised.value.details["Where"], raised.value.details["Found"]) == (".env", repr(value))


def test_a_value_of_another_form_is_refused_in_words(root: Path) -> None:
    with pytest.raises(TaxiError, match=r"TAXI_ALERT_TEAMS cannot be used: it has another form\.") as raised:
        read_settings({"TAXI_ALERT_TEAMS": "data-platform"})
    assert "data-platform=a@example.org" in raised.value.details["Expected"]


def test_the_public_sources_have_names(root: Path) -> None:
    for name, url in SOURCES.items():
        assert read_settings({"TAXI_SOURCE_URL": name}).taxi_source_url == url
    with pytest.raises(TaxiError, match="none of the names mirror, tlc") as raised:
        read_settings({"TAXI_SOURCE_URL": "ftp://me:s3cret@host/files"})
    assert "s3cret" not in str(raised.value)
    assert "ftp://host/files" in str(raised.value)


@pytest.mark.parametrize(
    ("value", "meant"), [("/data/trips", "a folder is written file:///data/trips"), ("tcl", "did you mean tlc?")]
)
def test_a_source_that_is_nearly_one_is_refused_with_the_right_form(root: Path, value: str, meant: str) -> None:
    with pytest.raises(TaxiError) as raised:
        read_settings({"TAXI_SOURCE_URL": value})
    assert meant in raised.value.summary


def test_nothing_secret_is_shown(root: Path) -> None:
    found = read_settings(
        {"POSTGRES_PASSWORD": "s3cret", "TAXI_SOURCE_URL": "https://me:s3cret@host/files?token=s3cret"}
    )
    assert found.redacted("taxi_source_url") == "https://host/files"
    assert found.redacted("postgres_host") == "unset"
    assert "s3cret" not in found.redacted("postgres_password")
    assert "s3cret" not in repr(found.postgres_password)


def test_the_committed_env_lists_every_setting_and_sets_none() -> None:
    text = (PROJECT_ROOT / ".env").read_text()
    assert text == env_file(), "write it anew: python -m taxi_assets.settings > .env"
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []


@pytest.mark.parametrize("content", [b"POSTGRES_USER=J\xf6rg\n", None])
def test_a_file_that_cannot_be_read_is_named(
    root: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / ".env.local"
    file.write_bytes(content or b"")
    if content is None:
        monkeypatch.setattr(module, "dotenv_values", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(TaxiError, match=r"A file of settings cannot be read\.") as raised:
        read_settings({})
    assert raised.value.details["Where"] == str(file)


def test_other_names_change_nothing(root: Path) -> None:
    write(root, ".env.local", "POSTGRES_DB=other\npostgres_dbname=other\nCOLOUR=blue\n")
    found = read_settings({"ORIGINS": "x", "postgres_port": "7", "_ENV_FILE": "x", "POSTGRES_USER": "me"})
    assert (found.postgres_port, found.postgres_user, found.postgres_dbname) == (5432, "me", "taxi")


def test_help_reads_no_settings() -> None:
    program = "import sys; sys.argv = ['taxi', '--help']\nfrom taxi_assets.cli.app import main\ntry:\n  main()\n"
    program += "except SystemExit: print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
