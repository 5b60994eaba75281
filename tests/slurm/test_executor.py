"""The executor of Slurm keeps the contract, on a real Slurm."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.contracts import Executor
from molexp.testing import ExecutorTests
from molexp_slurm import SlurmExecutor
from tests.slurm.engine import Slurm

pytestmark = pytest.mark.slurm


class TestSlurmExecutor(ExecutorTests):
    grace = 1.0  # seconds: jobs begin later than processes

    @pytest.fixture
    def executor(self, slurm: Slurm, tmp_path: Path) -> Iterator[Executor]:
        self.place = tmp_path / "calls"
        executor = SlurmExecutor(folder=str(self.place), interval=0.5)
        yield executor
        asyncio.run(executor.close())
        assert not self.place.exists(), "files are left"

    def with_workers(self, executor: Executor, workers: int) -> Executor:
        return SlurmExecutor(workers=workers, folder=str(self.place), interval=0.5)
