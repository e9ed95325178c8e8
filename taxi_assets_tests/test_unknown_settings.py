"""Names that look like settings and are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxi_assets import settings as module
from taxi_assets.unknown_settings import UnknownSetting, unknown_settings


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root with no files of settings yet."""
    monkeypatch.setattr(module, "PROJECT_ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("GCS_BUKET", "GCS_BUCKET"),
        ("POSTGRS_PORT", "POSTGRES_PORT"),
        ("postgres_port", "POSTGRES_PORT"),
        ("POSTGRES_HOSTNAME", "POSTGRES_HOST"),
        ("GCP_PROJECT_ID", "GCP_PROJECT"),
        ("GOOGLE_APPLICATION_CREDENTIAL", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("STORAGE_EMULATOR", "STORAGE_EMULATOR_HOST"),
        ("TAXI_COLOUR", None),
        ("POSTGRES_DATABASE", None),
    ],
)
def test_a_name_of_the_shell_or_a_file_is_named_with_the_nearest_setting(
    root: Path, name: str, nearest: str | None
) -> None:
    assert unknown_settings({name: "1"}) == [UnknownSetting(name, "shell", nearest)]
    (root / ".env.local").write_text(f"{name}=1\n")
    assert unknown_settings({}) == [UnknownSetting(name, ".env.local", nearest)]


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "PGHOST",
        "PGPORT",
        "HTTP_PROXY",
        "DAGSTER_HOME",
        "GOOGLE_CLOUD_PROJECT",
        "GCLOUD_PROJECT",
        "PUBSUB_EMULATOR_HOST",
        "DATASTORE_EMULATOR_HOST",
        "POSTGRES_DB",
        "POSTGRES_INITDB_ARGS",
        "POSTGRES_HOST_AUTH_METHOD",
        "POSTGRES_PASSWORD_FILE",
        "POSTGRES_SERVICE_HOST",
        "POSTGRES_PORT_5432_TCP_ADDR",
        "MYSQL_PORT",
        "SOURCE_URL",
    ],
)
def test_names_of_other_programs_are_left_alone(root: Path, name: str) -> None:
    (root / ".env").write_text(f"{name}=1\n")
    assert unknown_settings({name: "1"}) == []


def test_in_a_file_every_name_with_a_prefix_of_the_platform_is_a_mistake(root: Path) -> None:
    (root / ".env.trial").write_text("GCP_REGION=europe\nTAXI_HOME=.trial\n")
    found = unknown_settings({"GCP_REGION": "europe", "TAXI_PROFILE": "trial"})
    assert found == [UnknownSetting("GCP_REGION", ".env.trial", None)]


def test_every_setting_is_known(root: Path) -> None:
    (root / ".env.local").write_text("".join(f"{name.upper()}=\n" for name in module.Settings.model_fields))
    assert unknown_settings({name.upper(): "" for name in module.Settings.model_fields}) == []


def test_the_message_names_place_and_nearest() -> None:
    said = [str(unknown) for unknown in unknown_settings({"GCS_BUKET": "lake", "TAXI_COLOUR": "1"})]
    assert said == [
        "GCS_BUKET (shell) is no setting, and has no effect: did you mean GCS_BUCKET?",
        "TAXI_COLOUR (shell) is no setting, and has no effect: `taxi doctor` lists all settings",
    ]
