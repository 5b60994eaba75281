"""Find the first seed that finds each mutant, and write it into `tests.model.seeds`: ``python -m tests.model.reseed [WORD]``.

A change of the protocol's operations changes what a seed does. The explorer then tries the seeds after the one that is
written down, which can take a hundred times as long. With a word it does so for the mutants whose name has it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.model import seeds
from tests.model.exploring import explore
from tests.model.test_mutants import arguments

PAGE = Path(seeds.__file__)
BOUND = 3000


def main(word: str) -> None:
    """Explore each, and say which seed it is now."""
    for mutant, where in seeds.FOUND.items():
        if word not in mutant:
            continue
        replay = re.search(r"To replay it: .* --seed (\d+)", explore(*arguments(mutant, BOUND)).stdout)
        print(f"{mutant}: {where.seed} -> {replay[1] if replay else 'not found'}", flush=True)
        if replay and int(replay[1]) != where.seed:
            entry = re.compile(rf'("{re.escape(mutant)}": Where\(\s*"[^"]*", "[^"]*", ){where.seed}\b')
            PAGE.write_text(entry.sub(rf"\g<1>{replay[1]}", PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
