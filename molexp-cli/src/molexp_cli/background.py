"""Execute runs in processes of their own, for plugins whose programs start them and may end before them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def execute_in_background(url: str, script: Path, paths: Sequence[str], *, jobs: int = 1, rerun: bool = False) -> Path:
    """Start processes that execute runs by the workflow that a script binds, and outlive this one.

    Args:
        url: the workspace.
        script: the whole path of the script, which is imported.
        paths: whole paths of runs.
        jobs: the number of processes, among which the runs are divided.
        rerun: execute runs that succeeded, too; otherwise they stay as they are.

    Returns:
        The folder of what they print, a file for each process.
    """
    folder = Path(tempfile.mkdtemp(prefix="molexp-execute-"))
    own: dict[str, Any] = {"creationflags": 0x00000208} if sys.platform == "win32" else {"start_new_session": True}
    for number in range(jobs):
        if not (share := paths[number::jobs]):
            continue
        options = ["--script", str(script), "--rerun" if rerun else "--skip-done"]
        command = [sys.executable, "-m", "molexp_cli", "-w", url, "execute", *options, "--", *share]
        with (folder / f"{number}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=script.parent, **own
            )
        threading.Thread(target=process.wait, daemon=True).start()  # or it stays a zombie while this one lives
    return folder
