"""The process that plays the cases, and where."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).with_name("server.py")


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., dict[str, Any]]]:
    """Plays a case; what was mutated, what was wrong, and what the commands said."""
    base = tmp_path_factory.mktemp("fuzz")
    with subprocess.Popen(
        [sys.executable, SERVER, str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        to, come = server.stdin, server.stdout
        assert len(json.loads(come.readline())) > 10, "the workspace has runs of all sorts"

        def play(seed: str, case: int) -> dict[str, Any]:
            to.write(json.dumps({"seed": seed, "case": case}) + "\n")
            to.flush()
            answer: dict[str, Any] = json.loads(come.readline())
            return answer

        yield play
        to.close()
