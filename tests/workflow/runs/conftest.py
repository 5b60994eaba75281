"""Where workflows are executed under runs: the same places as the record's tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.record.conftest import any_server, ceph, exp, lab, lab_exp, lab_run, moto, place, run, ws

__all__ = ["any_server", "ceph", "exp", "lab", "lab_exp", "lab_run", "moto", "place", "run", "ws"]


@pytest.fixture(autouse=True, scope="package")
def _what_is_there_is_no_garbage() -> Iterator[None]:
    """So that looking for garbage after each test is quick."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
