"""The kit of stores catches each defect that is planted; the stores of MolExp pass all of it, in `tests.stores`."""

from __future__ import annotations

import pytest

from molexp.testing import StoreTests
from tests.kits.planted_stores import DEFECTS, SoundKit, fixtures
from tests.kits.playing import failures


def test_a_sound_store_passes(tmp_path):
    checks = {check for _, check in DEFECTS.values()}
    assert failures(SoundKit, tmp_path, *checks, fixtures=lambda place: fixtures(SoundKit, place)) == set()


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(tmp_path, defect):
    kit, caught_by = DEFECTS[defect]
    assert failures(kit, tmp_path, caught_by, fixtures=lambda place: fixtures(kit, place)) == {caught_by}


def test_what_is_not_filled_in_is_an_error_of_collection():
    with pytest.raises(TypeError, match="TestHalf does not define break_storage, raw_keys, store"):

        class TestHalf(StoreTests):
            def raw_write(self, store, key, data): ...

            def raw_read(self, store, key): ...
