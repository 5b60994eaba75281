"""The Slurm of the tests ends with them, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.servers import keeper
from tests.servers.test_servers import processes
from tests.slurm.engine import Slurm, eventually

pytestmark = pytest.mark.slurm


@pytest.mark.parametrize("victim", ["session", "keeper"])
def test_nothing_of_it_is_left_once_its_session_is_killed(victim, slurm_server, tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as owner:
        conf = keeper.kept("slurm", folder, owner.pid)
        assert keeper.kept("slurm", folder, owner.pid) == conf, "there are two"
        commands = tmp_path / "commands"
        commands.mkdir()
        slurm = Slurm(conf, commands)
        monkeypatch.setenv("SLURM_CONF", conf)
        slurm.ask("sbatch", "--wrap", "sleep 600", "--output", "/dev/null", "--chdir", str(tmp_path))
        eventually(lambda: "RUNNING" in slurm.alive().values())
        (mine,) = [pid for pid, command in processes(folder).items() if b"tests.servers.keeper" in command]
        os.kill(owner.pid if victim == "session" else mine, signal.SIGKILL)
        eventually(lambda: not processes(folder))
