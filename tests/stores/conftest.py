"""A file store, for the tests that look at its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from molexp_fs import LocalStore


@pytest.fixture
def lab(tmp_path: Path) -> LocalStore:
    return LocalStore.open(str(tmp_path / "lab"), {})
