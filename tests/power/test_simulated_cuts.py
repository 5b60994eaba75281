"""The power is cut at any moment: what was promised is there, what is there can be read, what is torn is named and mended."""

from __future__ import annotations

import itertools
import shutil
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.power.disk import DiskStore
from tests.power.scenario import Check, Scenario

STEPS = ("experiment", "update", "configure", "sweep", "derive", "alone", "track", "again", "tag", "bring", "delete")
SELDOM = ("gc", "compact")
_names = itertools.count()

steps = st.lists(
    st.tuples(st.sampled_from((*STEPS, *STEPS, *SELDOM)), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12
)


def cut(folder, todo, left, seed, durability):
    """One program, one cut, one look at what is left."""
    random = Random(seed)
    store = DiskStore(f"disk-{next(_names)}", durability=durability, left=left)
    scenario = Scenario(store, folder)
    scenario.play(todo)
    found = store.after_a_cut(f"disk-{next(_names)}", random)
    Check(found, scenario.promises).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("power")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _settings(examples, **others):
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None, **others
    )


@_settings(100, derandomize=True)
@given(steps, st.integers(0, 150), st.integers(0, 2**32), st.sampled_from(("end", "end", "always")))
@example([("track", 0, 0)], 150, 0, "end")
def test_a_cut(folder, todo, left, seed, durability):
    cut(folder, todo, left, seed, durability)


@pytest.mark.soak
@_settings(500, derandomize=True)
@given(steps, st.integers(0, 300), st.integers(0, 2**32), st.sampled_from(("end", "end", "always")))
def test_many_cuts(folder, todo, left, seed, durability):
    cut(folder, todo, left, seed, durability)


@pytest.mark.long
@_settings(5000)
@given(steps, st.integers(0, 300), st.integers(0, 2**32), st.sampled_from(("end", "end", "always")))
def test_cuts_that_nobody_has_seen(folder, todo, left, seed, durability):
    cut(folder, todo, left, seed, durability)
