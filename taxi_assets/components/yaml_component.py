"""The base of the components: it reads a component's YAML file as the command line does."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Self, cast

import dagster as dg
from pydantic import BaseModel, GetJsonSchemaHandler

from taxi_assets.pipelines import read_files
from taxi_assets.yaml_files import YamlFile


class YamlComponent(dg.Component):
    """A component that is a pydantic model, and reads its file itself.

    Dagster would derive a second model, in which every field also takes text for a template. The files have no
    templates, and a mistake in one has the same error in Dagster and on the command line. The JSON schema, by which
    `dg check yaml` and editors check a file, is the model's own.
    """

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """A model with the JSON schema of the component, which takes any attributes: `load` validates them."""
        return _any_attributes(cast(Any, cls))

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Makes the component from its file.

        Raises:
            InvalidYaml: The file is not valid.
        """
        file = YamlFile.read(context.path / "defs.yaml")
        given = cls.given_by(context.path)
        return cast(Self, file.validated(cast(Any, cls), "attributes", context=read_files(), **given))

    @classmethod
    def given_by(cls, folder: Path) -> dict[str, Any]:
        """The values of fields that the file need not give, from its folder."""
        return {}


@cache
def _any_attributes(component: type[BaseModel]) -> type[BaseModel]:
    class Attributes(BaseModel, extra="allow"):
        # As a part of the schema of all components, which Dagster generates for editors.
        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
            return handler(component.__pydantic_core_schema__)

        @classmethod
        def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
            schema: dict[str, Any] = _optional_parts(component.model_json_schema(*args, **kwargs))
            return schema

    return Attributes


def _optional_parts(schema: Any) -> Any:
    """The schema with `if … then` for each part that may be empty: an error then names the key, not all of the part."""
    if isinstance(schema, list):
        return [_optional_parts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _optional_parts(value) for key, value in schema.items()}
    match changed.get("anyOf"):
        case [part, {"type": "null"}]:
            del changed["anyOf"]
            return {**changed, "if": {"not": {"type": "null"}}, "then": part}
    return changed
