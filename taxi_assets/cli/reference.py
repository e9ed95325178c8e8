"""`docs/cli.md`, made from the commands: `python -m taxi_assets.cli.reference > docs/cli.md`."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click

from taxi_assets.cli.app import EXAMPLES, app, epilog

_HEAD = """\
# The command `taxi`

Written by `python -m taxi_assets.cli.reference > docs/cli.md`. Each command has this text as `--help`.

## Results and messages

A result goes to the standard output, everything else to the standard error. `run`, `verify`, `log`, `doctor`,
`status`, `sql` and `bq` print their result as a table, or with `--csv` or `--json` for machines:

| command | `--json` |
|---|---|
| `sql`, `bq`, `log` | an array with an object for each row, one row a line, as the rows come |
| `run` | an object: `ok`, `months`, `loads` (the rows of `--csv`), `rejected` |
| `verify` | an object: `ok`, `months`, `not_loaded` |
| `doctor` | an object: `ok`, `connections` (the rows of `--csv`), `settings` |
| `status` | an object: `services`, `ui` |

Each prints one JSON document. Numbers are numbers: integers and decimals exact, NaN and infinities as texts. Dates and
times have ISO's form; intervals, and dates that Python lacks (`infinity`, years beyond 9999), have PostgreSQL's. Bytes
are in base64, SQL's null is null; arrays and structs are nested. In CSV, null and the empty text are both empty.

In a terminal that is too narrow for a table, sentences are wrapped, `run` prints the places below the table, and `log`
leaves columns out and names them; if that is not enough, each row is a list of its values. Control characters in a
table are spelled out, as in psql: `\\x1B`. `sql` and `bq` show 1,000 rows; `--csv` and `--json` print all.

## Exit codes

| code | |
|---|---|
| 0 | done |
| 1 | something failed, differs or is lost: a store, a source, a query that the database refuses |
| 2 | asked wrongly: an option, a month, a pipeline, a store, a setting, a query that does not read |
| 130 | interrupted by Ctrl-C or SIGTERM |
| 141 | the reader of the result left, as `head` does; nothing is printed about it |

## Completion

`taxi --install-completion` lets the shell complete commands, options, pipelines, months and stores.

"""


def reference() -> str:
    """The text of `docs/cli.md`."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="taxi", help_option_names=["-h", "--help"])
    text = get_docs_for_click(obj=command, ctx=context, indent=1, name="taxi", title="`taxi`")
    # The list of commands has the beginning of each help only.
    text = re.sub(r"^\* `(\w+)`: .*$", lambda found: _entry(command, context, found[1]), text, flags=re.MULTILINE)
    for name, lines in EXAMPLES.items():
        text = text.replace(epilog(name), "**Examples**:\n\n```sh\n" + "\n".join(lines) + "\n```")
    return _HEAD + re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip() + "\n"


def _entry(command: Any, context: typer.Context, name: str) -> str:
    summary = command.get_command(context, name).help.partition("\n")[0]
    return f"* [`{name}`](#taxi-{name}): {summary}"


if __name__ == "__main__":
    print(reference(), end="")
