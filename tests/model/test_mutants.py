"""The explorer has teeth: with one rule of the protocol taken out of the code, it finds out."""

from __future__ import annotations

import pytest

from tests.model.exploring import explore
from tests.model.seeds import FOUND

BOUND = 700  # seeds within which a mutant is found; most take some dozen


@pytest.mark.soak
@pytest.mark.parametrize("mutant", FOUND)
def test_the_explorer_finds_it_when(mutant):
    find(mutant)


def find(mutant: str, bound: int = BOUND) -> None:
    where = FOUND[mutant]
    variant = ["--variant", where.variant] if where.variant else []
    seeds = ["--seed", str(where.seed), "--count", str(bound)]
    keepers = ["--keepers"] if where.keepers else []
    done = explore("--mutant", mutant, "--aim", where.aim, *variant, *keepers, *seeds)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr
    assert "LookupError" not in done.stdout, "the mutant has to follow the code that it breaks"
    assert "To replay it: " in done.stdout
