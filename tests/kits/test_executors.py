"""The kit of executors passes one that makes each call in a process of its own, and catches each defect that is planted."""

from __future__ import annotations

import gc
import warnings

import pytest

from molexp.testing import ExecutorTests
from tests.executors.builtin import ProcessExecutor
from tests.kits.planted_executors import DEFECTS, PipedExecutor, SoundKit, fixtures
from tests.kits.playing import failures

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module", autouse=True)
def sockets_that_were_left():
    """Connections of executors that fail are closed by the garbage collector, here and not in the tests of others."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def test_a_sound_executor_passes(tmp_path):
    checks = {check for kit, check in DEFECTS.values() if issubclass(kit.kind, PipedExecutor | ProcessExecutor)}
    assert failures(SoundKit, tmp_path, *checks, fixtures=lambda _: fixtures(SoundKit)) == set()


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(tmp_path, defect):
    kit, caught_by = DEFECTS[defect]
    assert failures(kit, tmp_path, caught_by, fixtures=lambda _: fixtures(kit)) == {caught_by}


@pytest.mark.parametrize("defect", ["closed for ever", "keyword arguments are lost"])
def test_what_is_not_broken_is_not_blamed(tmp_path, defect):
    kit, caught_by = DEFECTS[defect]
    patient = type(kit.__name__, (kit,), {"patience": SoundKit.patience, "grace": SoundKit.grace})
    others = {check for _, check in DEFECTS.values()} - {caught_by}
    assert failures(patient, tmp_path, *others, fixtures=lambda _: fixtures(kit)) == set()


def test_what_is_not_filled_in_is_an_error_of_collection():
    with pytest.raises(TypeError, match="TestNone does not define executor"):

        class TestNone(ExecutorTests):
            pass
