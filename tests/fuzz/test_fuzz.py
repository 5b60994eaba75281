"""A workspace takes anything that is done to it: no traceback, no hang, nothing outside touched, the rest answers, damage is named.

Each case mutates one thing: bytes, what a document says, the tree itself, a reader's index, the user's settings. Then it
runs a few of all commands, in some order. A case is decided by its seed and number: ``FUZZ_SEED=... pytest
tests/fuzz -k 'cases[120]'`` repeats it, with the nine after it.
"""

from __future__ import annotations

import os

import pytest

SEED = os.environ.get("FUZZ_SEED", "molexp")
GROUP = 10


def check(play, seed, cases):
    """Play cases, and tell of each what was wrong."""
    wrong = []
    for case in cases:
        found = play(seed, case)
        what, where = found["what"]
        head = f"FUZZ_SEED={seed} case {case}: {where}: {what}\n  commands: {found['said']}"
        wrong += [f"{head}\n  {line}" for line in found["wrong"]]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("first", range(0, 150, GROUP))
def test_cases(play, first):
    check(play, SEED, range(first, first + GROUP))


@pytest.mark.long
@pytest.mark.parametrize("first", range(150, 2000, GROUP))
def test_more_cases(play, first):
    check(play, SEED, range(first, first + GROUP))
