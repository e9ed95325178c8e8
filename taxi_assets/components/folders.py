"""The definitions of `defs/`, folder by folder: a broken one leaves the others as they are."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import dagster as dg

from taxi_assets.components.broken_file import broken_file
from taxi_assets.errors import TaxiError
from taxi_assets.instance.dagster_private import error_without_stack
from taxi_assets.pipelines import read_files, refuse_broken
from taxi_assets.settings import PROJECT_ROOT

_LOG = logging.getLogger(__name__)
_VALIDATION = "DAGSTER_IS_DEFS_VALIDATION_CLI"
"""Dagster sets it for `dg check defs` and `dagster definitions validate`."""


def load_folders(module: str) -> dg.Definitions:
    """The definitions of each folder of a package; in the place of a broken folder's, what names its error.

    Args:
        module: The package: `taxi_assets.defs`.

    Raises:
        Exception: A folder is broken, and Dagster validates the definitions: `dg check defs`. It has the error's text
            alone: the stack of this code helps nobody who mistyped a word.
    """
    folder = Path(import_module(module).__path__[0])
    files = read_files(folder)
    taken = {name for each in files.valid.values() for name in (each.job, f"{each.job}_schedule")}
    broken: list[TaxiError] = []
    parts = []
    for each in _folders(folder):
        made = files.broken.get(each.name) or _definitions(f"{module}.{each.name}", each)
        if isinstance(made, TaxiError):
            broken.append(made)
            made = broken_file(each / "defs.yaml", made, taken)
        parts.append(made)
    if os.environ.get(_VALIDATION):
        try:
            refuse_broken(broken)
        except TaxiError as found:
            raise error_without_stack(str(found)) from None
    for error in broken:
        _LOG.error("A file is broken, and its definitions are left out.\n%s", error)
    return dg.Definitions.merge(*parts)


def _folders(folder: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if each.is_dir() and any(path.suffix in (".yaml", ".yml", ".py") for path in each.rglob("*")):
            yield each


def _definitions(module: str, folder: Path) -> dg.Definitions | TaxiError:
    """The definitions of a folder, or why it has none.

    It has a tree of its own: a tree of all folders reads all files, also broken ones. load_from_defs_folder also
    imports every installed package with components, such as dagster_gcp: 1.2 s more.
    """
    try:
        return dg.ComponentTree.from_module(import_module(module), PROJECT_ROOT).build_defs_at_path(folder)
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ and not isinstance(cause, TaxiError):
            cause = cause.__cause__
        if isinstance(cause, TaxiError):
            return cause
        return TaxiError(
            f"Dagster cannot load {folder.name}.",
            found=f"{type(cause).__name__}: {cause}",
            where=str(folder),
            next_step="correct the file",
        )
