"""Examples as users run them: in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.repository import ROOT

EXAMPLES = ROOT / "examples"


def run_example(name: str, *arguments: str | Path, cwd: Path | None = None) -> str:
    """Run an example; returns what it printed, and fails if it printed to stderr."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def altered(name: str, alteration: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run an example's ``main`` on a folder, after ``alteration`` has changed something of the module ``example``."""
    script = f"""
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("example", {str(EXAMPLES / name)!r})
example = importlib.util.module_from_spec(spec)
sys.modules["example"] = example
spec.loader.exec_module(example)
{alteration}
sys.exit(example.main(Path(sys.argv[1])))
"""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=200, check=False
    )
