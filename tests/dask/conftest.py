"""A server for workspaces on S3, and modules that leave no trace in how others pickle."""

from __future__ import annotations

import copyreg
from collections.abc import Iterator

import pytest

from tests.servers.fixtures import moto

__all__ = ["moto"]


@pytest.fixture(autouse=True, scope="module")
def _pickling() -> Iterator[None]:
    """Take back how distributed pickles exceptions, once it is imported: with their tracebacks, for the whole process."""
    before = dict(copyreg.dispatch_table)
    yield
    for one in [one for one in copyreg.dispatch_table if one not in before]:
        del copyreg.dispatch_table[one]
