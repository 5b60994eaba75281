"""Slurm on one node, of Debian's packages: the queue of jobs as it is in use."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.servers.ceph import free_ports

PROGRAMS = ("munged", "setpriv", "slurmctld", "slurmd", "sbatch", "srun", "unshare")
WITH_ACCOUNTING = (*PROGRAMS, "slurmdbd", "mariadbd", "mariadb-install-db")
SCRIPT = Path(__file__).with_name("slurm-up.sh")


def missing() -> str:
    """Say why it cannot run here, or nothing."""
    return _missing(PROGRAMS)


def command(folder: Path) -> list[str]:
    """Return the command that starts it."""
    return [str(SCRIPT), str(folder), *map(str, free_ports(3)), "plain"]


class Accounting:
    """The same with a database of what jobs became."""

    @staticmethod
    def missing() -> str:
        """Say why it cannot run here, or nothing."""
        return _missing(WITH_ACCOUNTING)

    @staticmethod
    def command(folder: Path) -> list[str]:
        """Return the command that starts it."""
        return [str(SCRIPT), str(folder), *map(str, free_ports(3)), "accounting"]


def _missing(programs: tuple[str, ...]) -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Slurm's daemons need root on Linux"
    absent = [name for name in programs if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed: run tests/servers/install.sh" if absent else ""
