"""Results on the standard output: tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from taxi_assets.cli import screen
from taxi_assets.cli.results import (
    Format,
    as_json,
    chosen_format,
    print_csv_columns,
    print_document,
    print_rows,
    print_table,
)
from taxi_assets.errors import UsageError


def printed(capsys: pytest.CaptureFixture[str], names: list[str], rows: list[tuple[Any, ...]], form: Format) -> str:
    print_rows(names, rows, form)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**63, "9223372036854775808"),
        (Decimal("12345678901234567890.10"), "12345678901234567890.10"),
        (Decimal("1E+2"), "100"),
        (1.5, "1.5"),
        (float("nan"), '"NaN"'),
        (float("-inf"), '"-Infinity"'),
        (Decimal("NaN"), '"NaN"'),
        (None, "null"),
        ("", '""'),
        (True, "true"),
        (date(2021, 1, 1), '"2021-01-01"'),
        (datetime(2021, 1, 1, 10, tzinfo=UTC), '"2021-01-01T10:00:00+00:00"'),
        (b"x", '"eA=="'),
        ([Decimal("1.50"), {"a": float("inf"), "b": date(2021, 1, 1)}], '[1.50, {"a": "Infinity", "b": "2021-01-01"}]'),
    ],
)
def test_json_has_exact_numbers_and_iso_dates(value: Any, expected: str) -> None:
    assert as_json(value) == expected


@pytest.mark.parametrize("rows", [[], [(1,)], [(1,), (2,), (None,)]])
def test_rows_are_one_document_with_a_row_a_line(capsys: pytest.CaptureFixture[str], rows: list[tuple[Any]]) -> None:
    out = printed(capsys, ["n"], rows, Format.JSON)
    assert json.loads(out) == [{"n": row[0]} for row in rows]
    assert out.count("\n") == (len(rows) + 2 if rows else 1)


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(screen, "messages", lambda: Console(file=said))
    assert printed(capsys, ["a", "b"], [], Format.TABLE).split() == ["a", "b"]
    assert said.getvalue() == "No rows.\n"
    assert printed(capsys, ["a", "b"], [], Format.CSV).split() == ["a,b"]


def test_two_columns_of_one_name_are_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="Two columns have the name 'n'"):
        print_rows(["n", "n"], [(1, 2)], Format.JSON)
    assert capsys.readouterr().out == ""
    assert printed(capsys, ["n", "n"], [(1, 2)], Format.CSV) == "n,n\r\n1,2\r\n"


@pytest.mark.parametrize("width", [1, 2])
def test_columns_are_printed_as_their_rows(capsys: pytest.CaptureFixture[str], width: int) -> None:
    texts = ["", None, "a", 'a"b', '"', "a,b", "a\nb", "a\rb", "\r\n", " a ", "é\x00\t'😀", "None"]
    names = ['n"1', "n2"][:width]
    rows = [(text, other)[:width] for text in texts for other in texts]
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    print_csv_columns(names, [columns, [column[:0] for column in columns], [column[2:3] for column in columns]])
    assert capsys.readouterr().out == printed(capsys, names, [*rows, *rows[2:3]], Format.CSV)


def test_a_document_as_json_and_its_rows_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"store": "lake", "rows": 3}]
    print_document({"ok": True, "months": rows}, rows, Format.JSON)
    assert json.loads(capsys.readouterr().out) == {"ok": True, "months": rows}
    print_document({}, rows, Format.CSV)
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [["store", "rows"], ["lake", "3"]]


def test_csv_without_rows_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_document({}, [], Format.CSV, ["store", "rows"])
    assert capsys.readouterr().out == "store,rows\r\n"


def test_csv_and_json_together_are_refused() -> None:
    with pytest.raises(UsageError):
        chosen_format(csv=True, json=True)


def test_a_table_wider_than_the_terminal_is_expanded() -> None:
    out = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    long = "gs://a-bucket/" + "x" * 90
    print_table(["month", "reason", "where"], [["2021-01", "", long]], sparse=True, out=out)
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith("-[ 1 ]---")
    assert [line.split() for line in lines[1:2]] == [["month", "2021-01"]]
    assert "reason" not in "".join(lines)
    assert "".join(line.removeprefix("where").strip() for line in lines[2:]) == long
    assert max(map(len, lines)) <= 80


def test_a_terminal_without_room_lacks_optional_columns() -> None:
    def lines(width: int) -> list[list[str]]:
        out = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        rows = [["2021-01", "x" * 10, "y" * 30]]
        left_out = print_table(["month", "less", "least"], rows, optional=["least", "less"], out=out)
        return [left_out, *(line.split() for line in out.file.getvalue().splitlines())]  # type: ignore[attr-defined]

    assert lines(80) == [[], ["month", "less", "least"], ["2021-01", "x" * 10, "y" * 30]]
    assert lines(40) == [["least"], ["month", "less"], ["2021-01", "x" * 10]]
    assert lines(15) == [["least", "less"], ["month"], ["2021-01"]]
    assert lines(6)[0] == []


def test_a_terminal_gets_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    cell = "red \x1b[31m, \x9b31m, \r, \x07, \x00, tab\tline\nend"
    spelled_out = "red \\x1B[31m, \\x9B31m, \\x0D, \\x07, \\x00, tab"
    out = printed(capsys, ["a\x1b[1m", "b"], [(cell, 1), ("[b]", 2)], Format.TABLE)
    assert out.startswith("a\\x1B[1m")
    assert spelled_out in out
    assert "[b]" in out
    assert not set(out) & {"\x1b", "\x9b", "\r", "\x07", "\x00"}
    print_table(["where"], [["\x1b]0;title\x07"]])
    assert "\x1b" not in capsys.readouterr().out


def test_a_column_of_sentences_is_wrapped() -> None:
    out = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    print_table(["month", "why", "seconds"], [["2021-01", "a word " * 20, "1.0"]], prose="why", out=out)
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].split() == ["month", "why", "seconds"]
    assert lines[1].startswith("2021-01  a word a word")
    assert len(lines) == 1 + 3
    assert max(map(len, lines)) <= 80


def test_a_table_that_fits_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["month", "rows"], [["2021-01", "1,000"]], right=("rows",))
    assert capsys.readouterr().out.splitlines() == ["month     rows", "2021-01  1,000"]


def test_a_pipe_gets_plain_columns_of_any_width(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "b"], [["x" * 700, "y" * 700]])
    assert capsys.readouterr().out.splitlines()[1] == "x" * 700 + "  " + "y" * 700
