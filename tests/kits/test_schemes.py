"""The kit of run-id schemes passes sound ones, MolExp's own among them, and catches each defect that is planted."""

from __future__ import annotations

import pytest

from molexp.contracts import RunIdentity, RunIdScheme
from molexp.plugins import default_manager
from molexp.testing import RunIdSchemeTests
from tests.kits.planted_schemes import DEFECTS, SoundKit
from tests.kits.playing import failures

OTHER_PROCESS = "test_another_process_derives_the_same"


class TestMolexp1(RunIdSchemeTests):
    def scheme(self) -> type[RunIdScheme]:
        return default_manager().run_id_scheme("molexp-1")

    def known_ids(self) -> list[tuple[RunIdentity, str]]:
        return [
            (RunIdentity("metals", "cu", {"a": 3.6}, replica=0, config={}), "3d58e726095b6a0fa722"),
            (RunIdentity("metals", "cu", {"a": 3.6}, replica=1, config={}), "e1da92c62508ad23810c"),
            (
                RunIdentity("metals", "cu", {"n": 4.0, "a": 3.6}, replica=0, config={"xc": "PBE", "cutoff": 400}),
                "06912280c1af45395de2",
            ),
        ]


def test_a_sound_scheme_passes(tmp_path):
    assert failures(SoundKit, tmp_path) == set()


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(tmp_path, defect):
    kit, caught_by = DEFECTS[defect]
    assert failures(kit, tmp_path, caught_by) == {caught_by}


def test_what_is_not_filled_in_is_an_error_of_collection():
    with pytest.raises(TypeError, match="Half does not define known_ids"):

        class Half(RunIdSchemeTests):
            def scheme(self):
                return RunIdScheme
