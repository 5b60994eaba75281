"""The explorer has teeth: with one rule of the protocol taken out of the code, it finds out."""

from __future__ import annotations

import pytest

from tests.model.exploring import explore
from tests.model.seeds import FOUND

BOUND = 700  # seeds within which a mutant is found; `tests.model.reseed` makes it one


@pytest.mark.soak
@pytest.mark.parametrize("mutant", FOUND)
def test_the_explorer_finds_it_when(mutant):
    done = explore(*arguments(mutant, BOUND))
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr
    assert "LookupError" not in done.stdout, "the mutant has to follow the code that it breaks"
    assert "To replay it: " in done.stdout


def arguments(mutant: str, bound: int) -> list[str]:
    """Return how the explorer is asked to look for a mutant, at this many seeds from that in `FOUND`."""
    where = FOUND[mutant]
    variant = ["--variant", where.variant] if where.variant else []
    keepers = ["--keepers"] if where.keepers else []
    seeds = ["--seed", str(where.seed), "--count", str(bound)]
    return ["--mutant", mutant, "--aim", where.aim, *variant, *keepers, *seeds]
