"""Provide what the tests of the file store share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from molexp_fs import LocalStore

NOBODY = 65534
linux = pytest.mark.skipif(sys.platform != "linux", reason="about Linux")


def names(lab: LocalStore) -> set[str]:
    """Every file below the store's folder."""
    root = Path(lab.locate("x")).parent
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
