"""What a shell completes in the arguments of `taxi`. Nothing is asked of a store or a source."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from datetime import date

import typer

STORES = ("postgres", "lake", "bigquery")
SOURCES = ("tlc", "mirror", "sample")
_FIRST_YEAR = 2019


def pipelines(incomplete: str) -> list[str]:
    """The names of the pipelines."""
    from taxi_assets.pipelines import read_pipelines

    return _beginning(incomplete, read_pipelines())


def stores(incomplete: str) -> list[str]:
    """The names of the stores."""
    return _beginning(incomplete, STORES)


def sources(incomplete: str) -> list[str]:
    """The sources that have names."""
    return _beginning(incomplete, SOURCES)


def months(ctx: typer.Context, incomplete: str) -> list[str]:
    """The months of a pipeline that are over, `outdated`, and the ends of a range."""
    from taxi_assets.pipelines import read_pipelines

    first, colon, last = incomplete.rpartition(":")
    spec = read_pipelines().get(ctx.params.get("pipeline") or "")
    begin = max(first, f"{spec.first_month:%Y-%m}" if spec else "")
    today = date.today()
    over = [
        name
        for year in range(_FIRST_YEAR, today.year + 1)
        for month in range(1, 13)
        if (year, month) < (today.year, today.month) and (name := f"{year}-{month:02}") >= begin
    ]
    return [first + colon + name for name in _beginning(last, [*over, *([] if colon else ["outdated"])])]


def join_ranges(environment: MutableMapping[str, str]) -> None:
    """Joins the words of a range of months, which bash breaks at the colon.

    Bash completes the word behind the colon, so that what is before it is left out of the completions.
    """
    words, number = environment.get("COMP_WORDS", "").split("\n"), int(environment.get("COMP_CWORD") or 0)
    if ":" in words[number - 1 : number + 1]:
        before = words[: words.index(":", number - 1) - 1]
        environment["COMP_WORDS"] = "\n".join([*before, words[number].removeprefix(":")])
        environment["COMP_CWORD"] = str(len(before))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
