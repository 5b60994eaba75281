"""Let actors talk with the test that started them: JSON lines out, lines in."""

from __future__ import annotations

import json
import sys
from typing import Any


def tell(**facts: Any) -> None:
    """Report, by one write: actors may share a pipe, and Python may be told not to buffer."""
    print(json.dumps(facts) + "\n", end="", flush=True)


def wait() -> str:
    """Wait for a line from the test; "" at the end of the input."""
    return sys.stdin.readline().strip()
