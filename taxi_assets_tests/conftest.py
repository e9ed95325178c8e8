"""Fixtures that every room shares."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real trip records beside the checkout; whoever has none skips the tests on them."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real trip records: the folder ../shared/data is not beside this checkout")
    return SHARED_DATA
