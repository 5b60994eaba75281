"""The local queue passes the kit of queues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.contracts import Queue
from molexp.testing import QueueTests
from tests.plugins.local_queue import LocalQueue, at_work


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with at_work(tmp_path_factory.mktemp("local")) as queue:
        yield queue


class TestLocalQueue(QueueTests):
    senseless = ({"cores": 0}, {"cores": "4"}, {"folder": 3})

    @pytest.fixture
    def queue(self, local: Queue) -> Queue:
        return local

    def unreachable(self, folder: Path) -> Queue:
        (folder / "file").touch()
        return LocalQueue(folder=str(folder / "file" / "below"))
