"""A Slurm that tests have for themselves or share, with commands that are counted, and a back door."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMANDS = ("sacct", "sbatch", "scancel", "scontrol", "squeue")
DEADLINE = 300.0  # seconds; nothing here takes long, but a test must not hang
PATIENT = "100"  # seconds, as slurm-up.sh has it; Slurm recommends no more
COUNTED = """#!/bin/sh
echo "{name} $*" >>'{log}'
exec '{real}' "$@"
"""


class Slurm:
    """A Slurm that runs.

    Args:
        conf: its configuration.
        folder: a folder of the test's own, for commands that count themselves.
    """

    def __init__(self, conf: str, folder: Path) -> None:
        self.conf = conf
        self._home = folder.parent
        self._log = folder / "calls"
        self._log.touch()
        self.commands = folder / "bin"
        self.commands.mkdir()
        for name in COMMANDS:
            program = self.commands / name
            program.write_text(COUNTED.format(name=name, log=self._log, real=shutil.which(name)))
            program.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """Return what a user's shell has on this cluster."""
        return {"SLURM_CONF": self.conf, "PATH": f"{self.commands}{os.pathsep}{os.environ['PATH']}"}

    # ------------------------------------------------------------------------------------------------- the counter

    def calls(self, name: str = "") -> list[str]:
        """Return the commands that were called, with their arguments."""
        return [line for line in self._log.read_text().splitlines() if line.split()[0] == name or not name]

    def forget(self) -> None:
        """Count anew."""
        self._log.write_text("")

    # ----------------------------------------------------------------------------------------------- the back door

    def ask(self, name: str, *arguments: str) -> str:
        """Return what a command says, uncounted."""
        done = self._ask(name, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _ask(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which(name, path=os.defpath) or name, *arguments],
            env={**os.environ, "SLURM_CONF": self.conf},
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
        )

    def states(self) -> dict[str, str]:
        """Return the state of each job of this test that the controller knows, by its id."""
        return self._states("--states=all")

    def alive(self) -> dict[str, str]:
        """Return those of jobs that have not ended."""
        return self._states()

    def _states(self, *arguments: str) -> dict[str, str]:
        said = self.ask("squeue", "--noheader", "--array", "--format=%i %T %Z", *arguments)
        jobs = [line.split(" ", 2) for line in said.splitlines()]
        return {identity: state for identity, state, folder in jobs if Path(folder).is_relative_to(self._home)}

    def requeue(self, identity: str) -> None:
        """Requeue a job that runs; Slurm lets it wait for two minutes."""
        self.ask("scontrol", "requeue", identity)
        eventually(lambda: self.alive().get(identity) == "PENDING")

    def begin_again(self, identity: str) -> None:
        """Let a job that was requeued wait no longer.

        A node that gets a job in the second in which it revoked the job's credential answers "Job credential revoked", and
        Slurm fails the job. So this waits for the next second, and a little for clocks of the kernel that lag.
        """
        begin = int(time.time()) + 1.1
        eventually(lambda: time.time() >= begin)
        self.ask("scontrol", "update", f"JobId={identity}", "StartTime=now")

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Let the controller know no job any more, as some minutes after their ends."""
        program = self.commands / "squeue"
        counted = program.read_text()
        program.write_text("#!/bin/sh\n")
        yield
        program.write_text(counted)

    def controller(self) -> int:
        """Return the number of the controller's process, as we see it."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"slurmctld") and self.conf.encode() in words:
                return int(process.name)
        return 0

    def leave(self) -> None:
        """Let the controller stop, and stay away until `come_back`."""
        self._wait_for_answers("4")  # and one more
        away = Path(self.conf).with_name("away")
        away.touch()
        os.kill(self.controller(), signal.SIGTERM)
        eventually(lambda: not self.controller())

    def come_back(self) -> None:
        """Start the controller again, if it is away."""
        self._wait_for_answers(PATIENT)
        Path(self.conf).with_name("away").unlink(missing_ok=True)
        eventually(lambda: "is UP" in self._ask("scontrol", "ping").stdout)

    def _wait_for_answers(self, seconds: str) -> None:
        """Let commands that begin from now on wait so long for the controller."""
        conf = Path(self.conf)
        text = re.sub(r"(?m)^MessageTimeout=.*$", f"MessageTimeout={seconds}", conf.read_text())
        (new := conf.with_name("new.conf")).write_text(text)
        new.replace(conf)


def eventually(look: Callable[[], Any]) -> Any:
    """Return what `look` finds, once it finds something; Slurm cannot tell us the moment."""
    deadline = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        select.select([], [], [], 0.05)
    return found


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file, which may not be there yet."""
    return path.read_text().splitlines() if path.exists() else []


def variables(text: str) -> Mapping[str, str]:
    """Return what ``env`` printed."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
