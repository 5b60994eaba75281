"""Hold every test of workflows to this: nothing is left behind, and nothing is said behind its back."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.workflow import WorkflowBuilder
from tests.on_s3 import later_values, repeats_calls
from tests.workflow.clock import clock
from tests.workflow.sources import code_of, counter, load

__all__ = ["clock", "hashed", "wf"]

KEPT = ("molexp-heart", "molexp-s3")  # one of the process; those of a store's connections


@pytest.fixture
def wf() -> WorkflowBuilder:
    return WorkflowBuilder("relax")


def look_for_garbage() -> None:
    """Collect it; what is left then, and came with a module that was imported, is not looked at again."""
    gc.collect()
    if len(sys.modules) > _seen[0]:
        _seen[0] = len(sys.modules)
        gc.freeze()


_seen = [0]


@pytest.fixture(autouse=True, scope="module")
def _what_was_there_is_no_garbage() -> None:
    """So that looking for garbage after each test takes no time, whatever other modules have left in memory."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_is_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    before = set(threading.enumerate())
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        yield
        look_for_garbage()  # what nobody looked at complains when it goes
    records = [*caplog.get_records("call"), *caplog.records]
    said = [record.getMessage() for record in records if record.name in ("asyncio", "concurrent.futures")]
    assert not said, f"asyncio complained: {said}"
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.name.startswith(KEPT)]
    for thread in left:
        thread.join(300)  # those that end by themselves may take a moment
    assert not [thread for thread in left if thread.is_alive()], f"threads are left: {left}"


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """A function: write files to a new folder, import `flow`, and hash one of its objects, `task` if none is named."""

    def hash_of(text, subject="task", **others):
        module = load(tmp_path / f"lab{next(counter)}", text, **others)
        return code_of(eval(subject, vars(module)))

    return hash_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    on_s3 = [item for item in ours if item.get_closest_marker("s3")]
    for item in [*later_values(on_s3), *filter(repeats_calls, on_s3)]:
        item.add_marker(pytest.mark.long)
