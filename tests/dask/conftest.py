"""A server for workspaces on S3, and clusters that rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.fixtures import moto

__all__ = ["moto"]

RESTING = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "500ms"}
"""Settings by which a cluster that has nothing to do takes a third of the computing: it does not sample its stacks."""


@pytest.fixture(autouse=True, scope="module")
def _resting() -> Iterator[None]:
    import dask
    import distributed  # noqa: F401 - its own settings have to be there before, or else they leave with these

    with pytest.MonkeyPatch.context() as patch, dask.config.set(RESTING):
        for name, value in RESTING.items():
            patch.setenv(f"DASK_{name.upper().replace('.', '__')}", str(value))
        yield
