"""Slurm for each test: shared, with accounting, or of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import keeper
from tests.servers.fixtures import accounting_server, moto, slurm_server
from tests.slurm.engine import Slurm
from tests.slurm.sweeps import write_sweep

__all__ = ["accounting_server", "moto", "slurm_server"]


def _entered(conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    folder = tmp_path / "slurm"
    folder.mkdir()
    slurm = Slurm(conf, folder)
    for name, value in slurm.environment().items():
        monkeypatch.setenv(name, value)
    return slurm


@pytest.fixture
def slurm(slurm_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """The Slurm that all tests share, without accounting."""
    return _entered(slurm_server, tmp_path, monkeypatch)


@pytest.fixture
def accounting(accounting_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """The one with accounting."""
    return _entered(accounting_server, tmp_path, monkeypatch)


@pytest.fixture
def own(
    slurm_server: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Slurm]:
    """A Slurm of the test's own, whose controller it may stop."""
    conf = keeper.kept("slurm", tmp_path_factory.mktemp("own"), os.getpid())
    slurm = _entered(conf, tmp_path, monkeypatch)
    yield slurm
    slurm.come_back()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sweep, in which the test is."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_sweep(folder)
    return folder
