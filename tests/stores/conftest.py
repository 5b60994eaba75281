"""A file store, for the tests that look at its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from molexp_fs import LocalStore
from tests.servers.fixtures import bucket, ceph, moto, proxied, s3_server, s3rver

__all__ = ["bucket", "ceph", "lab", "moto", "proxied", "s3_server", "s3rver"]


@pytest.fixture
def lab(tmp_path: Path) -> LocalStore:
    return LocalStore.open(str(tmp_path / "lab"), {})
