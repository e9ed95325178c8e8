"""What callers send, and how it is checked."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from taxi_assets.webhook.errors import RequestRefused

_CALLER = Field(None, pattern=r"^[\w .@/-]{1,60}$", description="who asks; seen in the log of loads")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StartRun(_Body):
    """Starts a pipeline for a month."""

    service: StrictStr
    month: StrictStr
    force: StrictBool = False
    caller: StrictStr | None = _CALLER


class ReportMaterialization(_Body):
    """Reports that an asset was materialized elsewhere."""

    asset: StrictStr
    partition: StrictStr | None = None
    metadata: dict[StrictStr, StrictBool | StrictInt | StrictFloat | StrictStr] = Field({}, max_length=50)
    caller: StrictStr | None = _CALLER


Body = TypeVar("Body", StartRun, ReportMaterialization)


def read_body(kind: type[Body], body: bytes) -> Body:
    """Reads a request's body.

    Raises:
        RequestRefused: It is no JSON, or not what this request takes; names the field.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        malformed = first["type"] == "json_invalid"
        field = ".".join(str(part) for part in first["loc"])
        raise RequestRefused(
            400 if malformed else 422,
            "The body is no JSON." if malformed else "The body is not what this request takes.",
            expected="a JSON object with " + ", ".join(_fields(kind)),
            found=f"{field}: {first['msg']}" if field else first["msg"],
        ) from None


def _fields(kind: type[Body]) -> list[str]:
    return [name if field.is_required() else f"{name} (optional)" for name, field in kind.model_fields.items()]
