"""Slurm's commands: how they are called, and what their refusals mean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from molexp.errors import QueueError, QueueUnavailableError
from molexp_slurm._site import Site

_PATIENCE: Final = 180.0  # seconds; the commands themselves give up sooner
_SILENT: Final = re.compile(
    r"unable to contact|connection (refused|reset|timed out)|timed out|communication (connection )?(failure|error)"
    r"|zero bytes were transmitted|not responding|temporarily unable|temporarily unavailable|try again"
    r"|in recovery|in standby|persistent connection|network is unreachable|no route to host"
    r"|unexpected message received|rate limit|authentication|munge",
    re.IGNORECASE,
)
"""The words of commands if the controller is away, restarts or is overloaded, or munge is."""
_GONE: Final = re.compile(
    r"invalid job id|already completing|already completed|already finished|job/step already", re.IGNORECASE
)
_PREFIX: Final = re.compile(r"^\w+: (error|fatal): ", re.MULTILINE)
_CHOICES: Final = {"account": "ACCOUNT", "partition": "PARTITION", "qos": "QOS", "constraint": "CONSTRAINT"}
_ALWAYS: Final = ("SBATCH_CLUSTERS", "SBATCH_RESERVATION", "SLURM_CLUSTERS", "SLURM_CONF", "SLURM_JWT")
_MOST_WORDS: Final = 100_000  # characters of a command's line, of which systems take more


def run(command: Sequence[str], *, given: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Return what a command prints.

    Raises:
        QueueError: it refuses.
        QueueUnavailableError: there is no answer of Slurm's.
    """
    program = command[0]
    try:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
            timeout=_PATIENCE,
            env=dict(environment) if environment is not None else our_environment(),
        )
    except FileNotFoundError:
        here = shutil.which("sinfo") is None
        why = f"there is no command {program} on this machine" + (
            ": call from a node of the cluster, or load its module" if here else ""
        )
        raise QueueError("slurm", why) from None
    except subprocess.TimeoutExpired:
        raise QueueUnavailableError("slurm", f"{program} gave no answer in {_PATIENCE:.0f} s") from None
    except OSError as error:
        raise QueueError("slurm", f"{program} could not be called: {error}") from error
    if done.returncode == 0:
        return done.stdout
    lines = [" ".join(line.split()) for line in _PREFIX.sub("", done.stderr).splitlines()]
    said = "; ".join(filter(None, lines)) or f"{program} exits with {done.returncode}"
    raise (QueueUnavailableError if _SILENT.search(said) else QueueError)("slurm", said)


def our_environment(site: Site | None = None) -> dict[str, str]:
    """Return the environment for Slurm's commands: without what belongs to a job that this process is in.

    Variables of sbatch come before what a script says, so only those remain that say what the settings leave open.
    """
    kept = {f"SBATCH_{word}" for name, word in _CHOICES.items() if site is not None and not getattr(site, name)}
    return {
        name: value
        for name, value in os.environ.items()
        if name in _ALWAYS
        or name in kept
        or not name.startswith(("SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_"))
    }


def squeue(*arguments: str) -> list[list[str]]:
    """Return the fields of each job that the controller knows, those that have ended lately included.

    They are name, array's id, index, state, restarts, reason and nodes.
    """
    form = "--Format=Name:|,ArrayJobID:|,ArrayTaskID:|,State:|,RestartCnt:|,Reason:|,NodeList:|"
    try:
        said = run(["squeue", "--noheader", "--all", "--array", "--states=all", form, *arguments])
    except QueueUnavailableError:
        raise
    except QueueError as error:
        if _GONE.search(error.reason):  # so it answers for a single job that it has forgotten
            return []
        raise
    return [line.split("|")[:7] for line in said.splitlines() if line.count("|") >= 7]


def sacct(names: Iterable[str]) -> list[list[str]]:
    """Return name, id, state and nodes of each job in the accounts; nothing where there are none, or they do not answer."""
    try:
        said = run(
            [
                *("sacct", "--allocations", "--noheader", "--parsable2", "--starttime=now-90days"),
                *("--format=JobName%80,JobID%80,State%40,NodeList%400", f"--name={','.join(names)}"),
            ]
        )
    except QueueError:
        return []
    return [fields for line in said.splitlines() if len(fields := line.split("|")) == 4]


def scancel(ids: Sequence[str], *options: str) -> None:
    """Cancel jobs; those that are gone are left aside."""
    trouble: QueueError | None = None
    for few in in_pieces(ids):
        try:
            run(["scancel", "--quiet", *options, *few])
        except QueueUnavailableError:
            raise
        except QueueError as error:
            if not _GONE.search(error.reason) and "kill_job" not in error.reason.lower():
                trouble = error
    if trouble is not None:
        raise trouble


def in_pieces(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words in lists that a command's line can hold."""
    piece: list[str] = []
    size = 0
    for word in words:
        if piece and size + len(word) > _MOST_WORDS:
            yield piece
            piece, size = [], 0
        piece.append(word)
        size += len(word) + 1
    if piece:
        yield piece
