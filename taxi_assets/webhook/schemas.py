"""The bodies of requests, and the error of a request that is refused."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from taxi_assets.errors import TaxiError

_CALLER = Field(None, pattern=r"^[\w .@/-]{1,60}$", description="the caller, for the load log")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StartRun(_Body):
    """The body of `POST /runs`."""

    model_config = ConfigDict(populate_by_name=True)

    pipeline: StrictStr = Field(validation_alias=AliasChoices("pipeline", "service"))
    """`service` is its name in requests to earlier versions."""
    month: StrictStr
    force: StrictBool = False
    caller: StrictStr | None = _CALLER


class ReportMaterialization(_Body):
    """The body of `POST /materializations`."""

    asset: StrictStr
    partition: StrictStr | None = None
    metadata: dict[StrictStr, StrictBool | StrictInt | StrictFloat | StrictStr] = Field({}, max_length=50)
    caller: StrictStr | None = _CALLER


Body = TypeVar("Body", StartRun, ReportMaterialization)


def parse_body(schema: type[Body], body: bytes) -> Body:
    """Parses a request's body.

    Raises:
        RequestRefused: The body is no JSON, or a field is wrong.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        malformed = first["type"] == "json_invalid"
        field = ".".join(str(part) for part in first["loc"])
        raise RequestRefused(
            400 if malformed else 422,
            "The body is no JSON." if malformed else "The body is not what this request takes.",
            expected="a JSON object with " + ", ".join(_field_names(schema)),
            found=f"{field}: {first['msg']}" if field else first["msg"],
        ) from None


def _field_names(schema: type[Body]) -> list[str]:
    return [name if field.is_required() else f"{name} (optional)" for name, field in schema.model_fields.items()]


class RequestRefused(TaxiError):
    """A request that the webhook refuses.

    Attributes:
        status: The HTTP status of the answer.
    """

    def __init__(self, status: int, summary: str, **details: str | None) -> None:
        self.status = status
        super().__init__(summary, **{"intact": "nothing was started or reported", **details})


def error_body(error: TaxiError) -> dict[str, Any]:
    """The body of the answer: summary, expected, found, where, intact, next."""
    return {"summary": error.summary, **{name.lower(): text for name, text in error.details.items()}}
