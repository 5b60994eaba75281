"""Let actors talk with the test that started them: JSON lines out, lines in."""

from __future__ import annotations

import json
import sys
from typing import Any


def tell(**facts: Any) -> None:
    """Report."""
    print(json.dumps(facts), flush=True)


def wait() -> str:
    """Wait for a line from the test; "" at the end of the input."""
    return sys.stdin.readline().strip()
