"""Starting the explorer from tests."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import warm
from tests.repository import ROOT


def explore(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Explore in a process of its own: the order of sets has to be that of every other time."""
    command = [sys.executable, "-m", "tests.model.explore", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return warm.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=None)
