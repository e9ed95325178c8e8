"""The pipelines of the project: which file gives which pipeline, and which files are broken.

It imports no Dagster, so that the command line answers a mistyped name at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from taxi_assets.errors import UsageError
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipeline_conflicts import conflicts
from taxi_assets.yaml_files import InvalidYaml, YamlFile
from taxi_assets.yaml_mistakes import nearest_word

FOLDER = Path(__file__).parent / "defs"
COMPONENT = "taxi_assets.components.TaxiPipeline"


@dataclass(frozen=True)
class Pipelines:
    """The files of a folder of pipelines.

    Attributes:
        valid: Name → pipeline.
        broken: Name of a folder → what is wrong with its file.
    """

    valid: Mapping[str, PipelineSpec]
    broken: Mapping[str, InvalidYaml]


@cache
def read_files(folder: Path = FOLDER) -> Pipelines:
    """The pipelines below a folder. A broken file leaves the others valid; so do two that claim the same."""
    declared: dict[Path, PipelineSpec] = {}
    errors: dict[Path, InvalidYaml] = {}
    for path in sorted(folder.glob("*/defs.yaml")):
        try:
            if spec := read_pipeline(path):
                declared[path] = spec
        except InvalidYaml as error:
            errors[path] = error
    errors |= conflicts(declared)
    valid = {spec.name: spec for path, spec in declared.items() if path not in errors}
    return Pipelines(valid, {path.parent.name: errors[path] for path in sorted(errors)})


def read_pipeline(path: Path) -> PipelineSpec | None:
    """The pipeline of a file; None: the file is another component's.

    Raises:
        InvalidYaml: The file is no YAML, or not a valid pipeline.
    """
    file = YamlFile.read(path)
    document = file.document if isinstance(file.document, dict) else {}
    attributes = document.get("attributes")
    if document.get("type") != COMPONENT and not (isinstance(attributes, dict) and "service" in attributes):
        return None
    return file.validated(PipelineSpec, "attributes", name=path.parent.name)


def read_pipelines(folder: Path = FOLDER) -> Mapping[str, PipelineSpec]:
    """The valid pipelines below a folder: name → pipeline."""
    return read_files(folder).valid


def pipeline_for(name: str) -> PipelineSpec:
    """The pipeline of that name.

    Raises:
        InvalidYaml: Its file is broken.
        UsageError: There is none; the error names those that there are, and the nearest.
    """
    found = read_files()
    if name in found.valid:
        return found.valid[name]
    if name in found.broken:
        raise found.broken[name]
    nearest = nearest_name(name, found.valid)
    raise UsageError(
        f"There is no pipeline {name!r}.{f' Do you mean {nearest!r}?' if nearest else ''}",
        expected=f"one of: {', '.join(found.valid)}",
        found=name,
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
