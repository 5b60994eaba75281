"""The documentation lists which check of which kit catches which defect, as the tests show it."""

from __future__ import annotations

from molexp import testing
from tests.kits.playing import checks_of
from tests.kits.table import CAUGHT, PAGE, page


def test_the_table_is_that_of_the_planted_defects():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `uv run python -m tests.kits.table`"


def test_every_kit_has_a_table_and_every_check_that_it_names():
    assert CAUGHT.keys() == {name for name in testing.__all__ if name.endswith("Tests")}
    for kit, caught in CAUGHT.items():
        assert {*caught.values()} <= {*checks_of(getattr(testing, kit))}
