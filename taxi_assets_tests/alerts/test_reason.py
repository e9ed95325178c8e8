"""Reasons: the parts of an error survive, as data and as printed text."""

from __future__ import annotations

from taxi_assets.alerts.reason import text_reason
from taxi_assets.errors import TaxiError


def test_a_printed_error_keeps_its_parts() -> None:
    error = TaxiError(
        "The file is broken.", expected="a gzip file", found="a page:\nit begins <html>", where="x.csv.gz"
    )
    reason = text_reason(str(error))
    assert reason.summary == "The file is broken."
    assert reason.details == {
        "Expected": "a gzip file",
        "Found": "a page: it begins <html>",
        "Where": "x.csv.gz",
    }


def test_other_text_is_a_summary_in_one_line() -> None:
    assert text_reason("ValueError: no\n  such: thing\n").model_dump() == {
        "summary": "ValueError: no such: thing",
        "details": {},
    }
    assert text_reason("").summary == "No reason was given."
