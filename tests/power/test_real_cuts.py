"""The power of a real ext4 is cut, on a loop device: what was promised is there when it is mounted again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import molexp as me
from tests.stores.local import linux

pytestmark = linux

CUT = """
    import fcntl, os, struct
    def cut():
        folder = os.open(os.environ["DISK"], os.O_RDONLY)
        fcntl.ioctl(folder, 0x8004587D, struct.pack("I", 2))  # EXT4_IOC_SHUTDOWN, and the journal is not flushed either
        os._exit(0)
"""

WRITER = """
    import random, sys
    import molexp as me
    random = random.Random(int(sys.argv[1]))
    ws = me.Workspace(os.environ["DISK"] + "/lab", storage_options={"durability": sys.argv[2]})
    promised = open(os.environ["PROMISES"], "a", buffering=1)  # on another disk
    left = random.randrange(1, 12)
    while True:
        exp = ws.Project(f"p{random.randrange(2)}").Experiment(f"e{random.randrange(2)}")
        what = random.choice(["run", "run", "sweep", "configure", "update", "import", "tag"])
        said = ""
        if what == "run":
            with exp.Run({"n": left}).start() as ctx:
                ctx.set_result("x", left)
                ctx.artifact.save("a.txt", f"artifact {left}")
                ctx.log("l").append(f"log {left}")
            said = f"run {ctx.run.path} {left}"
        elif what == "sweep":
            said = "sweep " + " ".join(run.path for run in exp.runs.create_many([{"s": left, "i": i} for i in range(3)]))
        elif what == "configure":
            ws.configure(run_id_scheme="molexp-1")
            said = "settings"
        elif what == "update":
            ws.project(exp.project.id).Experiment(exp.name, params={"a": left}, update=True)
            said = f"params {exp.path} {left}"
        elif what == "import":
            with open(os.environ["PROMISES"] + ".src", "w") as file:
                file.write(f"data {left}")
            asset = exp.data_assets.import_asset("ref", os.environ["PROMISES"] + ".src")
            said = f"data {exp.path} {asset.version} {left}"
        else:
            for run in exp.runs:
                run.annotate(tags=[f"t{left}"])
                said = f"tag {run.path} t{left}"
                break
        if said:
            promised.write(said + chr(10))
        left -= 1
        if left == 0:
            cut()
"""


class Disk:
    """A file with an ext4 in it, mounted."""

    def __init__(self, folder: Path) -> None:
        self.image, self.folder = folder / "image", folder / "disk"
        self.folder.mkdir()
        with self.image.open("wb") as file:
            file.truncate(64 << 20)
        self._do("mkfs.ext4", "-q", str(self.image))

    def mount(self) -> None:
        self._do("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self) -> None:
        self._do("umount", str(self.folder))

    def renew(self) -> None:
        """Mount what the cut left, as a machine that starts again does.

        A test beside this one may have made a mount namespace, which keeps the file system that was cut mounted. The kernel
        would hand out that one again for the same image, so a copy of the image is mounted.
        """
        self.unmount()
        left = self.image.with_suffix(".left")
        self._do("cp", "--sparse=always", str(self.image), str(left))
        left.replace(self.image)
        self.mount()

    def _do(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            pytest.skip(f"no ext4 can be mounted here: {' '.join(command)}: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("mounting an ext4 needs root and mkfs.ext4")
    base = Path("/var/tmp") / f"molexp-power-{os.getpid()}"  # the image lies on a disk, not in memory
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    found = Disk(base)
    found.mount()
    yield found
    subprocess.run(["umount", "-l", str(found.folder)], capture_output=True, check=False)
    shutil.rmtree(base, ignore_errors=True)


def cut_and_look(disk: Disk, promises: Path, seed: int, durability: str) -> None:
    environ = {**os.environ, "DISK": str(disk.folder), "PROMISES": str(promises)}
    code = dedent(CUT) + dedent(WRITER)
    done = subprocess.run(
        [sys.executable, "-c", code, str(seed), durability],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    disk.renew()
    check(disk.folder / "lab", promises.read_text().splitlines() if promises.exists() else [])


def check(lab: Path, promised: list[str]) -> None:
    if not promised:
        return
    ws = me.Workspace.load(lab)
    params = {}
    for line in promised:
        what, *rest = line.split()
        match what:
            case "run":
                run = ws.run(rest[0])
                assert run.status is me.RunStatus.SUCCEEDED, line
                assert run.results == {"x": int(rest[1])}, line
                assert run.asset("a.txt").load() == f"artifact {rest[1]}", line
                assert f"log {rest[1]}" in run.asset("l").read_bytes().decode(), line
            case "sweep":
                assert all(ws.run(path).parameters["s"] for path in rest), line
            case "settings":
                assert dict(ws.settings) == {"run_id_scheme": "molexp-1"}
            case "params":
                params[rest[0]] = int(rest[1])
            case "data":
                project, _, experiment = rest[0].partition("/")
                of = ws.project(project).experiment(experiment).data_assets
                assert of.get("ref", version=int(rest[1])).read_bytes().decode() == f"data {rest[2]}", line
            case "tag":
                assert rest[1] in ws.run(rest[0]).tags, line
    for path, value in params.items():
        project, _, experiment = path.partition("/")
        assert dict(ws.project(project).experiment(experiment).params) == {"a": value}, path
    rows = {row.path for row in ws.catalog.runs()}
    assert {line.split()[1] for line in promised if line.startswith("run ")} <= rows
    ws.fsck(repair=True)
    left = me.Workspace.load(lab).fsck().findings
    assert [one for one in left if not one.key.startswith(".molexp/")] == []  # a journal without content is ignored


def test_some_cuts(disk, tmp_path):
    for seed in range(3):
        cut_and_look(disk, tmp_path / "promises", seed, "always" if seed == 2 else "end")


def test_a_cut_beside_a_namespace_that_keeps_the_disk_mounted(disk, tmp_path):
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as beside:
        assert beside.stdout is not None
        assert beside.stdout.readline() == b"\n", "the namespace was not made"
        cut_and_look(disk, tmp_path / "promises", 3, "end")
        beside.communicate(timeout=300)


@pytest.mark.soak
def test_twenty_cuts_of_one_disk(disk, tmp_path):
    """One workspace lives through all of them."""
    for seed in range(100, 120):
        cut_and_look(disk, tmp_path / "promises", seed, "always" if seed % 4 == 0 else "end")
