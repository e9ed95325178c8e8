"""The pipelines of the project: which file gives which pipeline, and which files are broken.

It imports no Dagster, so that the command line answers a mistyped name at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from taxi_assets.errors import TaxiError, UsageError
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipeline_conflicts import conflicts
from taxi_assets.trips import registry
from taxi_assets.yaml_files import InvalidYaml, YamlFile
from taxi_assets.yaml_mistakes import Mistake, Place, Refused, nearest_word, one_of

FOLDER = Path(__file__).parent / "defs"
FilesVersion = Mapping[Path, tuple[int, int]]
"""File → time of its change, and its number in the file system."""
_ROOM = "taxi_assets.components."
PIPELINE = f"{_ROOM}TaxiPipeline"
SUMMARIES = f"{_ROOM}Summaries"
LOCAL_FILES = f"{_ROOM}LocalFiles"
TYPES = (PIPELINE, SUMMARIES, LOCAL_FILES)
"""The components of the project."""


class ComponentFile(BaseModel):
    """A YAML file of a component, as Dagster takes it. What its attributes are is the component's."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="The component, like " + PIPELINE)
    attributes: dict[str, Any] | None = Field(None, description="The component's keys")
    template_vars_module: str | None = None
    requirements: dict[str, Any] | None = None
    post_processing: dict[str, Any] | None = None

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value in TYPES or value.startswith(".") or _is_of_another_package(value):
            return value
        raise Refused(f"a component, {one_of(list(TYPES))}", allowed=TYPES)


def _is_of_another_package(component: str) -> bool:
    package, dot, _ = component.partition(".")
    return bool(dot) and not component.startswith(_ROOM) and find_spec(package) is not None


@dataclass(frozen=True)
class Pipelines:
    """The files of a folder of pipelines.

    Attributes:
        valid: Name → pipeline.
        errors: File → what is wrong with it; of pipelines, and of files whose component is not known.
        others: The files of other components.
    """

    valid: Mapping[str, PipelineSpec]
    errors: Mapping[Path, InvalidYaml]
    others: Sequence[YamlFile] = ()

    @cached_property
    def broken(self) -> Mapping[str, InvalidYaml]:
        """Name of a folder → what is wrong with its file, whatever component it is of."""
        # Few commands need the models of these files.
        from taxi_assets.specs import LocalFilesSpec, SummariesSpec

        errors = dict(self.errors)
        for file in self.others:
            model = SummariesSpec if file.validated(ComponentFile).type == SUMMARIES else LocalFilesSpec
            try:
                file.validated(model, "attributes", context=replace(self, others=()))
            except InvalidYaml as error:
                errors[file.path] = error
        return _by_folder(errors)


def _by_folder(errors: Mapping[Path, InvalidYaml]) -> dict[str, InvalidYaml]:
    return {path.parent.name: error for path, error in sorted(errors.items())}


@cache
def read_files(folder: Path = FOLDER) -> Pipelines:
    """The pipelines below a folder. A broken file leaves the others valid; so do two that claim the same."""
    pipelines: dict[Path, PipelineSpec] = {}
    errors: dict[Path, InvalidYaml] = {}
    others: list[YamlFile] = []
    for path in sorted(folder.glob("*/defs.yaml")):
        try:
            file = YamlFile.read(path)
            component = file.validated(ComponentFile).type
            if component == PIPELINE:
                pipelines[path] = file.validated(PipelineSpec, "attributes", name=path.parent.name)
            elif component in TYPES:
                others.append(file)
        # Also of the file that declares its service.
        except InvalidYaml as error:
            errors[path] = error
    # Dagster takes no other name, and nothing else would say that the folder is none.
    for path in sorted(folder.glob("*/defs.yml")):
        if not path.with_suffix(".yaml").exists():
            mistake = Mistake("", Place(1, 1), "a file of the name defs.yml", "a file of the name defs.yaml")
            errors[path] = InvalidYaml(path, [mistake])
    errors |= conflicts(pipelines)
    return Pipelines({spec.name: spec for path, spec in pipelines.items() if path not in errors}, errors, others)


def files_version() -> FilesVersion:
    """The YAML files of pipelines and services as they are now: another value after each change."""
    paths = (path for folder in (FOLDER, registry.FOLDER) for path in folder.rglob("*.y*ml"))
    return {path: (found.st_mtime_ns, found.st_ino) for path in paths if (found := _stat(path))}


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None  # It was removed a moment ago.


def read_again() -> Pipelines:
    """The pipelines, read anew by this process."""
    registry.forget()
    read_files.cache_clear()
    return read_files(FOLDER)


def refuse_broken(errors: Sequence[TaxiError]) -> None:
    """Raises what is wrong with files, if there is anything.

    Raises:
        TaxiError: The error of the one that is broken, or one error that has all of them.
    """
    if len(errors) == 1:
        raise errors[0].with_traceback(None)
    if errors:
        found = "\n".join(str(error) for error in errors).replace("\n", "\n            ")
        raise UsageError(f"{len(errors)} files are broken.", found=found, next_step="correct the files")


def read_pipelines(folder: Path = FOLDER) -> Mapping[str, PipelineSpec]:
    """The valid pipelines below a folder: name → pipeline."""
    return read_files(folder).valid


def pipeline_for(name: str) -> PipelineSpec:
    """The pipeline of that name.

    Raises:
        UsageError: Its file is broken, or there is none; the error names those that there are, and the nearest.
    """
    found = read_files(FOLDER)
    if name in found.valid:
        return found.valid[name]
    if name in found.broken:
        raise found.broken[name]
    nearest = nearest_name(name, found.valid)
    raise UsageError(
        f"There is no pipeline {name!r}.{f' Do you mean {nearest!r}?' if nearest else ''}",
        expected=f"one of: {', '.join(found.valid)}",
        found=name + (f"; the files of {', '.join(found.broken)} are broken" if found.broken else ""),
        next_step="correct the name, or add a folder with a defs.yaml to taxi_assets/defs",
    )


def nearest_name(name: str, pipelines: Mapping[str, PipelineSpec]) -> str | None:
    """The pipeline whose name, or whose service's name, is most like this one; None: none is."""
    named = {
        **{spec.service: spec.name for spec in reversed(list(pipelines.values()))},
        **{each: each for each in pipelines},
    }
    nearest = nearest_word(name, named)
    return named[nearest] if nearest else None
