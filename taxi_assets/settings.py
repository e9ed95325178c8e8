"""The settings of the platform: name, type, default, meaning, and the origin of the value.

A setting is an environment variable. The first place that names it wins: the shell, then `.env.local` (git-ignored, for
credentials), then `.env.{TAXI_PROFILE}`, then `.env`, then the default in this module. An empty value means the
default, and wins over later places too: `POSTGRES_HOST= taxi run …` uses the embedded server, regardless of the files.
"""

from __future__ import annotations

import difflib
import os
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from taxi_assets.errors import TaxiError, UsageError

PROJECT_ROOT = Path(__file__).resolve().parent.parent

SOURCES = {
    "mirror": "https://github.com/DataTalksClub/nyc-tlc-data/releases/download",
    "tlc": "https://d37ci6vzurychx.cloudfront.net",
}


def _meant(source: str) -> str:
    """What a wrong TAXI_SOURCE_URL may mean: a folder without its scheme, or a name."""
    if source.startswith("/"):
        return f"; a folder is written file://{source}"
    nearest = next(iter(difflib.get_close_matches(source.lower(), SOURCES, 1)), None)
    return f"; did you mean {nearest}?" if nearest else ""


class Settings(BaseModel):
    """The settings of one process. Without an address, the embedded service is used."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True, defer_build=True)

    taxi_home: Path = Field(Path(".taxi"), description="the folder of all local state; relative to the project's root")
    taxi_allowed_hosts: str = Field(
        "",
        pattern=r"^[^\s/@]*(\s*,\s*[^\s/@]+)*$",
        description="names besides localhost, 127.0.0.1 and [::1] that the local servers answer to, for containers and "
        "proxies: `taxi,taxi.example`; a server reads them when it starts",
    )
    taxi_profile: str | None = Field(None, description="reads `.env.{TAXI_PROFILE}` besides `.env`")
    taxi_source_url: str | None = Field(
        None,
        description="the source of the trip files: an http, https or file address, `mirror` (the CSV files of "
        "DataTalksClub) or `tlc` (the TLC's Parquet files); unset: the sample source of synthetic trips",
    )
    taxi_source_attempts: int = Field(
        5, ge=1, description="requests to a source that fails; the waits between them grow from 2 to 30 seconds"
    )
    taxi_files_folder: Path | None = Field(
        None,
        description="the folder whose CSV and Parquet files become tables in BigQuery; unset: `files` in TAXI_HOME",
    )
    taxi_sample_rows: int = Field(100_000, ge=1, description="rows of a synthetic month")
    taxi_newest_months: int = Field(3, ge=1, description="number of the newest months that schedules and sensors check")
    taxi_publication_seconds: int = Field(
        900, ge=1, description="seconds between two checks for new files at the source"
    )

    postgres_host: str | None = Field(None, description="PostgreSQL server; unset: the embedded one")
    postgres_port: int = Field(5432, ge=1, le=65535, description="port of the PostgreSQL server")
    postgres_dbname: str = Field("taxi", description="database")
    postgres_user: str = Field("taxi", description="user that loads")
    postgres_password: SecretStr | None = Field(None, description="password of that user")
    postgres_schema: str | None = Field(None, description="overrides the schema of every pipeline (for trials)")
    postgres_connect_timeout: int = Field(10, ge=1, description="seconds to wait for a connection")

    google_application_credentials: Path | None = Field(None, description="service-account key file")
    google_service_acc_key_filepath: Path | None = Field(None, description="the same, under Mage's name")
    gcp_project: str | None = Field(None, description="Google Cloud project; unset: the emulators' `taxi-local`")
    gcp_location: str | None = Field(
        None, description="location of new datasets, such as `US`; unset: BigQuery's default"
    )
    gcs_bucket: str | None = Field(None, description="bucket of the lake; unset: `taxi-lake` in the emulator")
    bigquery_dataset: str | None = Field(None, description="overrides the dataset of every pipeline (for trials)")
    bigquery_max_bytes_billed: int = Field(
        10_000_000_000, ge=1, description="bytes that one query of `taxi bq` may bill; a larger query is refused"
    )
    storage_emulator_host: str | None = Field(None, description="a Cloud Storage emulator's address")
    bigquery_emulator_host: str | None = Field(None, description="a BigQuery emulator's address")

    taxi_ui_url: str = Field("http://127.0.0.1:3000", description="address of the UI, for the links in alerts")
    taxi_alert_slack_url: SecretStr | None = Field(None, description="Slack's incoming webhook for alerts; unset: off")
    taxi_alert_webhook_url: SecretStr | None = Field(None, description="gets alerts as JSON; unset: off")
    taxi_alert_teams: str = Field(
        "",
        pattern=r"^(\s*[^=,\s]+\s*=\s*[^=,@\s]+@[^=,@\s]+\s*(,|$))*$",
        description="mail addresses of teams: `data-platform=a@example.org,data-platform=b@example.org`",
    )
    taxi_alert_gather_minutes: float = Field(
        15, ge=0, description="alerts of the same cause within this number of minutes are sent as one"
    )
    taxi_smtp_host: str | None = Field(None, description="mail server for alerts to owners; unset: no mail")
    taxi_smtp_port: int = Field(587, ge=1, le=65535, description="port of the mail server")
    taxi_smtp_tls: Literal["starttls", "tls", "none"] = Field("starttls", description="starttls, tls or none")
    taxi_smtp_user: str | None = Field(None, description="user of the mail server; unset: no login")
    taxi_smtp_password: SecretStr | None = Field(None, description="password of that user")
    taxi_smtp_from: str = Field("taxi-assets@localhost", description="the sender of alerts")

    taxi_webhook_token: SecretStr | None = Field(
        None, description="token that callers of `taxi webhook` send; unset: it does not start"
    )
    taxi_webhook_host: str = Field("127.0.0.1", description="address that `taxi webhook` listens on")
    taxi_webhook_port: int = Field(3001, ge=1, le=65535, description="port that `taxi webhook` listens on")

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("taxi_home")
    @classmethod
    def _below_the_root(cls, value: Path) -> Path:
        try:
            os.fsencode(value).decode()
        except UnicodeDecodeError:
            raise ValueError("it is no text in UTF-8") from None
        if not str(value).isprintable():
            raise ValueError("it has a line break or another control character")
        if any(character in str(value) for character in "*?["):
            raise ValueError("it has *, ? or [, which Dagster takes for a pattern of file names")
        return PROJECT_ROOT / value.expanduser()

    @field_validator("taxi_source_url")
    @classmethod
    def _source_by_name(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = SOURCES.get(value, value).rstrip("/")
        if not url.startswith(("http://", "https://", "file://")):
            raise ValueError(
                "it is no http, https or file address, and none of the names " + ", ".join(SOURCES) + _meant(value)
            )
        if not readable(url):
            raise ValueError("its host or its port cannot be read")
        return url

    @property
    def files_folder(self) -> Path:
        """The watched folder of `local_files`."""
        return PROJECT_ROOT / (self.taxi_files_folder or self.taxi_home / "files").expanduser()

    @property
    def lake_bucket(self) -> str:
        """The bucket of the lake."""
        return self.gcs_bucket or "taxi-lake"

    @property
    def bigquery_project(self) -> str:
        """The project of the tables in BigQuery, as the load log names it."""
        return self.gcp_project or ("project-of-the-credentials" if self.gcs_bucket else "taxi-local")

    def origin(self, name: str) -> str:
        """The origin of a field's value: `shell`, a file's name, or `default`."""
        return self._origins.get(name, "default")

    def redacted(self, name: str) -> str:
        """The value of a field without passwords, also those in addresses; `unset` for None."""
        return "unset" if (value := getattr(self, name)) is None else without_credentials(str(value))


def readable(address: str) -> bool:
    """Whether an address has a valid host and port."""
    try:
        _ = urlsplit(address).port
    except ValueError:
        return False
    return True


def without_credentials(text: str) -> str:
    """An address without user, password, query and fragment; another text as it is."""
    if "://" not in text:
        return text
    if not readable(text):
        return "(redacted)"
    parts = urlsplit(text)
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=netloc, query="", fragment=""))


class _Reading(Settings, BaseSettings):
    """Settings under their names in the shell and in files, where the first place wins."""

    model_config = SettingsConfigDict(alias_generator=str.upper, case_sensitive=True, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The shell, whose names are given as arguments, then the files."""
        return init_settings, dotenv_settings

    @model_validator(mode="before")
    @classmethod
    def _empty_is_the_default(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value != ""}


def places(shell: Mapping[str, str]) -> dict[str, Mapping[str, str | None]]:
    """The places that name settings, the one that wins first: place → name → value.

    Raises:
        TaxiError: A file cannot be read, or the profile has none.
    """
    local, common = _values(".env.local"), _values(".env")
    profile = shell.get("TAXI_PROFILE") or local.get("TAXI_PROFILE") or common.get("TAXI_PROFILE")
    if not profile:
        return {"shell": shell, ".env.local": local, ".env": common}
    name = f".env.{profile}"
    if not (PROJECT_ROOT / name).exists():
        raise UsageError(
            f"The profile {profile!r} has no file.",
            expected=f"the file {name} in {PROJECT_ROOT}",
            next_step="write that file, or unset TAXI_PROFILE",
        )
    return {"shell": shell, ".env.local": local, name: _values(name), ".env": common}


def _values(file: str) -> Mapping[str, str | None]:
    path = PROJECT_ROOT / file
    try:
        return dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "A file of settings cannot be read.",
            expected="lines like POSTGRES_HOST=db.example.com, as text in UTF-8",
            found=error.strerror if isinstance(error, OSError) else str(error),
            where=str(path),
            next_step="correct the file, or remove it",
        ) from None


def read_settings(shell: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the shell's environment and the `.env` files.

    Raises:
        TaxiError: A value is not of the setting's type; names the setting, the value's place and the type.
    """
    found = places(os.environ if shell is None else shell)
    names = [field.upper() for field in Settings.model_fields]
    origins = {name.lower(): place for name in names for place in reversed(found) if found[place].get(name) is not None}
    given = {name: value for name, value in found["shell"].items() if name in names}
    try:
        # Of several files, pydantic-settings takes the last one that has a name.
        files = [PROJECT_ROOT / file for file in reversed(found) if file != "shell" and found[file]]
        settings = _Reading(_env_file=files, **given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _invalid(error, origins) from None
    settings._origins = origins
    return settings


def _invalid(error: ValidationError, origins: Mapping[str, str]) -> TaxiError:
    first = error.errors()[0]
    field = str(first["loc"][0]).lower()
    # A pattern says nothing to most people; what is expected says it in words.
    pattern = first["type"] == "string_pattern_mismatch"
    reason = "it has another form" if pattern else first["msg"].removeprefix("Value error, ")
    return UsageError(
        f"The setting {field.upper()} cannot be used: {reason}.",
        expected=str(Settings.model_fields[field].description),
        found="(redacted)" if _is_secret(field) else repr(without_credentials(str(first["input"]))),
        where=origins.get(field),
        next_step=f"correct {field.upper()} there, or unset it",
    )


def _is_secret(field: str) -> bool:
    return "SecretStr" in str(Settings.model_fields[field].annotation)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return read_settings()


_HEAD = """\
# Every setting of taxi_assets with its default: written by `python -m taxi_assets.settings > .env`.
#
# Keep all of it in comments: for Dagster's command line the lines of this file win over those of the shell.
# Set a setting in the shell, or in a file beside this one: .env.local (git-ignored, for credentials), or
# .env.{TAXI_PROFILE}. The first place that names a setting wins, in this order: the shell, .env.local,
# .env.{TAXI_PROFILE}, the default. An empty value means the default.
"""


def env_file() -> str:
    """The text of `.env`."""
    entries = []
    for name, field in Settings.model_fields.items():
        meaning = textwrap.fill(
            str(field.description), 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
        )
        default = "" if field.default is None else field.default
        entries.append(f"{meaning}\n# {name.upper()}={default}\n")
    return "\n".join([_HEAD, *entries])


if __name__ == "__main__":
    print(env_file(), end="")
