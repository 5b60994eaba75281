"""The kit of queues passes the local queue, see `tests.plugins.test_queue_kit`, and catches each defect that is planted."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from molexp.testing import QueueTests
from tests.kits.planted_queues import DEFECTS
from tests.kits.playing import failures
from tests.plugins.local_queue import at_work

_WITHOUT_JOBS = (
    "test_an_option_that_it_does_not_know_is_named",
    "test_a_batch_that_is_refused_leaves_nothing",
    "test_an_engine_that_does_not_answer_is_told_in_words",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of a queue whose runner all share."""
    folder = tmp_path_factory.mktemp("place")
    with at_work(folder):
        yield folder / "queue"


def failing(kit, tmp_path, place, *checks):
    given = {"queue": kit.kind(cores=8, folder=str(place))}
    return failures(kit, tmp_path, *checks, fixtures=lambda _: nullcontext(given))


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(tmp_path, place, defect):
    kit, caught_by = DEFECTS[defect]
    assert failing(kit, tmp_path, place, caught_by) == {caught_by}


def test_what_is_not_broken_is_not_blamed(tmp_path, place):
    kit, _ = DEFECTS["the script does not say what is executed"]
    others = {check for _, check in DEFECTS.values() if check in _WITHOUT_JOBS}  # `test_queue_kit` plays all of them
    assert len(others) == len(_WITHOUT_JOBS)
    assert failing(kit, tmp_path, place, *others) == set()


def test_what_is_not_filled_in_is_an_error_of_collection():
    with pytest.raises(TypeError, match="TestNone does not define queue, unreachable"):

        class TestNone(QueueTests):
            pass
