"""Whether a text is one query that reads: by its words, and by the type that BigQuery's dry run names."""

from __future__ import annotations

import re

from taxi_assets.errors import UsageError

_ALLOWED = "one statement that reads: SELECT, WITH or FROM; no script, DML, DDL, CALL or EXPORT DATA"
_FIRST_WORDS = ("SELECT", "WITH", "FROM", "(")
_TOKEN = re.compile(
    r"""(?P<space> \s+ | --[^\n]* | \#[^\n]* | /\*.*?\*/ )
    | [rRbB]{0,2} (?: \"{3}(?:\\.|.)*?\"{3} | '{3}(?:\\.|.)*?'{3} | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
    | `(?:\\.|[^`\\])*`
    | \w+
    | .""",
    re.VERBOSE | re.DOTALL,
)
_UNQUOTED = re.compile(r"\b(?:from|join)\s+([a-z][a-z0-9]*(?:-[a-z0-9]+)+\.\w[\w.$*]*)", re.IGNORECASE)
_SHOWN_CHARACTERS = 200


def require_one_query(sql: str) -> None:
    """Requires that the text is one statement that begins as a query does; asks nobody.

    Raises:
        UsageError: It is not.
    """
    tokens = [match[0] for match in _TOKEN.finditer(sql) if not match["space"]]
    while tokens and tokens[-1] == ";":
        tokens.pop()
    if ";" in tokens:
        raise _refused("`taxi bq` runs one query, and these are several statements.", sql)
    if not tokens or tokens[0].upper() not in _FIRST_WORDS:
        raise _refused("`taxi bq` runs one query that reads, and this is none.", sql)


def require_reading(statement_type: str | None, sql: str) -> None:
    """Requires that BigQuery takes the statement for a query.

    Args:
        statement_type: The type that its dry run names; None: it names none.
        sql: The statement.

    Raises:
        UsageError: It takes it for another one.
    """
    if statement_type != "SELECT":
        kind = statement_type or "another statement"
        raise _refused(f"`taxi bq` runs one query that reads, and this is {kind} to BigQuery.", sql)


def unquoted_table(sql: str) -> str | None:
    """A table whose project has a dash and no backticks, which not every place takes; None: no such one."""
    found = _UNQUOTED.search(sql)
    return found[1] if found else None


def _refused(summary: str, sql: str) -> UsageError:
    found = repr(sql if len(sql) <= _SHOWN_CHARACTERS else sql[:_SHOWN_CHARACTERS] + "…")
    return UsageError(
        summary,
        expected=_ALLOWED,
        found=found,
        intact="every table: nothing was run",
        next_step="leave out what writes; the BigQuery console or `bq query` run other statements",
    )
