"""The file of the UI's token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taxi_assets.ui.server import running_links
from taxi_assets.ui.token import Token, ensure_token, read_token, token_file


def test_the_token_stays_and_is_its_owners(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert read_token(home) is None
    with ThreadPoolExecutor(8) as pool:
        (token,) = set(pool.map(lambda _: ensure_token(home), range(8)))
    assert len(token) >= 43
    assert (read_token(home), ensure_token(home)) == (token, token)
    assert token_file(home).stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert token not in repr(Token(token, 3000))


@pytest.mark.parametrize("text", ["", "\n", "short"])
def test_a_damaged_token_is_replaced(tmp_path: Path, text: str) -> None:
    token_file(tmp_path).parent.mkdir()
    token_file(tmp_path).touch(0o600)
    token_file(tmp_path).write_text(text)
    assert read_token(tmp_path) is None
    assert len(ensure_token(tmp_path)) >= 43


def test_a_token_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    seen = ensure_token(tmp_path)
    token_file(tmp_path).chmod(0o644)
    assert read_token(tmp_path) is None
    assert ensure_token(tmp_path) != seen
    assert token_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_there_is_no_link_where_no_ui_runs(tmp_path: Path) -> None:
    assert running_links(tmp_path) == []
    ensure_token(tmp_path)
    (tmp_path / "run" / "ui-3000.lock").touch()
    assert running_links(tmp_path) == []
