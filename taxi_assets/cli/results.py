"""The result of a command on the standard output: a table for people, CSV or one JSON document for machines.

Messages go to the standard error: see `screen`. A reader that leaves early (`| head`) ends the command without a
message, with the exit code of a program that SIGPIPE ends.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from taxi_assets.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console
    from rich.table import Table

SHOWN_ROWS = 1000
UNREAD = 141
"""The exit code of a command whose reader leaves early: 128 and the number of SIGPIPE."""
_LINE = 40
"""The length of the line above an expanded row."""
_WORDS = 20
"""The narrowest column of sentences."""


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def chosen_format(*, csv: bool, json: bool) -> Format:
    """The format that the options ask for.

    Raises:
        UsageError: They ask for two.
    """
    if csv and json:
        raise UsageError("A result is either CSV or JSON.", expected="--csv or --json", found="both")
    return Format.CSV if csv else Format.JSON if json else Format.TABLE


def print_rows(names: Sequence[str], rows: Iterable[Sequence[Any]], form: Format, optional: Sequence[str] = ()) -> None:
    """Prints rows as they come: CSV, an array of JSON objects, the single value, or a table of at most 1000 rows.

    Args:
        names: The names of the columns.
        rows: The rows.
        form: How they are printed.
        optional: The columns that a narrow terminal has no room for, as in `print_table`.

    Raises:
        UsageError: Two columns of a JSON object would have one name.
    """
    if form is Format.CSV:
        _print_csv(names, rows)
    elif form is Format.JSON:
        _print_json(names, rows)
    else:
        _print_shown(names, rows, optional)


def print_csv_columns(names: Sequence[str], pages: Iterable[Sequence[pa.Array]]) -> None:
    """Prints pages of columns as they come: the same text as `print_rows` prints of their rows, in less time.

    Args:
        names: The names of the columns.
        pages: The columns of each page: texts, null for no value.
    """
    out = _Output()
    csv.writer(out).writerow(names)
    for columns in pages:
        out.write(_csv_text(columns))
    out.flush()


def print_document(
    document: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], form: Format, names: Sequence[str] = ()
) -> None:
    """Prints a command's result for machines.

    Args:
        document: The whole of it, for JSON.
        rows: Its rows, for CSV; all have the keys of the first.
        form: CSV or JSON.
        names: The keys of a row, for CSV without rows.
    """
    if form is Format.JSON:
        _Output().write(json.dumps(document, indent=2, ensure_ascii=False, default=_plain) + "\n")
    else:
        records = list(rows)
        _print_csv(list(records[0]) if records else names, [list(record.values()) for record in records])
    _Output().flush()


def standard_output() -> Console:
    """The console of the standard output; a reader that left ends the command."""
    from taxi_assets.cli.screen import console

    return console(sys.stdout, lambda _: _end_unread())


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str] = (),
    *,
    sparse: bool = False,
    prose: str | None = None,
    optional: Sequence[str] = (),
    out: Console | None = None,
) -> list[str]:
    """Prints a table of cells in rich's markup; in a terminal that is too narrow for it, each row as a list.

    Args:
        headings: The headings.
        rows: The cells.
        right: The headings of the columns that are aligned to the right.
        out: Where it is printed; None: the standard output.
        sparse: An empty cell says nothing: a list leaves it out.
        prose: The heading of a column of sentences, which are wrapped where the terminal has room for words.
        optional: The headings of columns that a terminal may have no room for. They are left out from the first on,
            until the table fits; if that is not enough, none is.

    Returns:
        The headings that are left out.
    """
    from taxi_assets.cli.screen import expanded, visible

    out = out or standard_output()
    headings, rows = [visible(heading) for heading in headings], [[visible(cell) for cell in row] for row in rows]
    printed, width = _table(out, headings, rows, right)
    for count in range(1, len(optional) + 1) if out.is_terminal and width > out.width else ():
        kept = [place for place, heading in enumerate(headings) if heading not in optional[:count]]
        shorter = [[row[place] for place in kept] for row in rows]
        narrow, needed = _table(out, [headings[place] for place in kept], shorter, right)
        if needed <= out.width:
            out.print(narrow)
            return list(optional[:count])
    if width <= out.width or (out.is_terminal and prose and _wraps(printed, prose, width - out.width)):
        out.print(printed)
    elif out.is_terminal:
        for number, row in enumerate(rows, 1):
            out.print(f"-[ {number} ]".ljust(_LINE, "-"), style="dim", markup=False)
            shown = [(heading, cell) for heading, cell in zip(headings, row, strict=True) if cell or not sparse]
            out.print(expanded(shown))
    else:
        out.width = width
        out.print(printed)
    return []


def _table(
    out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str]
) -> tuple[Table, int]:
    """The table, and its width."""
    from rich.measure import Measurement

    from taxi_assets.cli.screen import table

    made = table(*headings, right=tuple(right))
    for row in rows:
        made.add_row(*row)
    return made, Measurement.get(out, out.options.update(max_width=1_000_000), made).maximum


def _wraps(printed: Table, prose: str, excess: int) -> bool:
    """Makes the column of sentences narrower by so many characters, if lines of some words are left."""
    from rich.text import Text

    (column,) = (column for column in printed.columns if column.header == prose)
    room = max(Text.from_markup(str(cell)).cell_len for cell in column.cells) - excess
    if room >= _WORDS:
        column.width, column.overflow = room, "fold"
    return room >= _WORDS


def _print_shown(names: Sequence[str], rows: Iterable[Sequence[Any]], optional: Sequence[str]) -> None:
    from taxi_assets.cli.screen import escaped, messages, visible

    first = list(islice(rows, SHOWN_ROWS + 1))
    if len(names) == len(first) == 1:
        value = "" if first[0][0] is None else str(first[0][0])
        _Output().write(f"{visible(value) if sys.stdout.isatty() else value}\n")
        _Output().flush()
        return
    shown = [["" if value is None else escaped(str(value)) for value in row] for row in first[:SHOWN_ROWS]]
    left_out = print_table([escaped(name) for name in names], shown, optional=optional)
    if left_out:
        messages().print(f"No room for: {', '.join(reversed(left_out))}; --csv and --json print all.", soft_wrap=True)
    if not first:
        messages().print("No rows.")
    if len(first) > SHOWN_ROWS:
        messages().print(f"The first {SHOWN_ROWS:,} rows; --csv and --json print all.")


def _print_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    out = _Output()
    writer = csv.writer(out)
    if names:
        writer.writerow(names)
    writer.writerows(rows)
    out.flush()


def _csv_text(columns: Sequence[pa.Array]) -> str:
    from pyarrow import compute as pc

    cells: list[Any] = []
    for column in columns:
        special = pc.match_substring_regex(column, '[",\r\n]' if len(columns) > 1 else '[",\r\n]|^$')
        if pc.any(special).as_py():
            doubled = pc.replace_substring(column, '"', '""')
            column = pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), column)
        cells.append(column if len(columns) > 1 else pc.fill_null(column, '""'))
    lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
    return "".join(f"{line}\r\n" for line in lines.to_pylist())


def _print_json(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"Two columns have the name {twice[0]!r}, and a JSON object has a name once.",
            expected="a name for each column",
            next_step=f"name one of them: … AS another_{twice[0]}; or use --csv",
        )
    out, before = _Output(), "[\n"
    for row in rows:
        out.write(before + as_json(dict(zip(names, row, strict=True))))
        before = ",\n"
    out.write("[]\n" if before == "[\n" else "\n]\n")
    out.flush()


def as_json(value: Any) -> str:
    """The value as JSON: decimals as exact numbers, dates and times in ISO's form, bytes in base64."""
    try:
        return _encode(value)
    except (_NotExactError, ValueError):
        return _exact(value)


class _NotExactError(Exception):
    """The encoder of the standard library has no exact form of a value."""


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        raise _NotExactError
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain).encode


def _exact(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_encode(str(name))}: {_exact(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_exact, value)) + "]"
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, Decimal | float) and not Decimal(value).is_finite():
        # The same texts as PostgreSQL's and BigQuery's own JSON.
        return _encode({"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(float(value))])
    return _encode(value)


class _Output:
    """The standard output; a reader that left ends the command."""

    def write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
        except BrokenPipeError:
            _end_unread()

    def flush(self) -> None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _end_unread()


def _end_unread() -> NoReturn:
    """Ends the command; what the standard output still holds goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(UNREAD) from None
