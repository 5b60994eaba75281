"""Slurm keeps the contract of queues."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from molexp.contracts import Queue, Resources
from molexp.testing import QueueTests
from molexp_slurm import SlurmQueue
from tests.slurm.engine import Slurm

pytestmark = pytest.mark.slurm


class TestSlurmQueue(QueueTests):
    senseless = ({"partition": 3}, {"requeue": "often"}, {"container": 3})
    impossible = Resources(gpus=2)
    many = 2000

    @pytest.fixture(autouse=True)
    def cluster(self, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
        self.conf, self.patch = Path(slurm.conf), monkeypatch

    @pytest.fixture
    def queue(self, cluster: None) -> Queue:
        return SlurmQueue()

    def unreachable(self, folder: Path) -> Queue:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            known = self.conf.read_text()
            text = re.sub(r"(?m)^MessageTimeout=.*$", "MessageTimeout=1", known)
            text = re.sub(r"(?m)^SlurmctldPort=.*$", f"SlurmctldPort={port}", text)
            assert text != known
            (folder / "slurm.conf").write_text(text)
        self.patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        return SlurmQueue()
