"""Slurm tells a job why it sends a signal: the time limit, or another job takes the place."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

from molexp._values.status import Cause

_PATIENCE = 10.0  # seconds for an answer of the controller, as its own commands wait; a job has 30 left by default
_RESOLUTION = 60.0  # seconds that Slurm sends signals early at most, as sbatch(1) says
_WARNING = 600.0  # seconds; `--signal=USR1@600` is about the earliest warning that people ask for


def told_by_slurm(number: int) -> Cause | None:
    """Return the cause of a signal as Slurm tells it; None outside of a job, and where it does not."""
    if not (job := os.environ.get("SLURM_JOB_ID")):
        return None
    said = _job(job)
    if said.get("JobState") == "PREEMPTED" or said.get("PreemptTime", "None") not in ("None", "Unknown", "N/A"):
        return Cause.PREEMPTED
    if said.get("JobState") == "TIMEOUT" or _is_over(number) or (_is_warned(number) and _goes_on(said)):
        return Cause.WALLTIME
    return None


def _is_warned(number: int) -> bool:
    """Tell whether this is the warning that the batch script asked for, which Slurm sends by its own clock."""
    from molexp.contracts import JOB_ENDS

    ends = os.environ.get(JOB_ENDS, "")
    return number == signal.SIGTERM and ends.isdecimal() and time.time() >= int(ends) - _RESOLUTION


def _goes_on(said: Mapping[str, str]) -> bool:
    """Tell whether nobody cancels the job, as far as the controller tells."""
    return said.get("JobState", "RUNNING") == "RUNNING"


def _is_over(number: int) -> bool:
    """Tell whether the job's time is over but for what a warning leaves: ten minutes, and a fifth of it, at most."""
    try:
        end = float(os.environ["SLURM_JOB_END_TIME"])
        start = float(os.environ.get("SLURM_JOB_START_TIME", "nan"))
    except (KeyError, ValueError):
        return False
    warned = number in {getattr(signal, name, None) for name in ("SIGUSR1", "SIGUSR2")}  # nobody else sends these
    early = min(_WARNING, (end - start) / 5) if warned and end > start else 0.0
    return end - time.time() <= max(_RESOLUTION, early)


def _job(job: str) -> dict[str, str]:
    """Return what the controller knows of a job; nothing if it does not answer."""
    import subprocess

    command = ["scontrol", "--oneliner", "show", "job", job]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return {name: value for name, _, value in (word.partition("=") for word in done.stdout.split())}
