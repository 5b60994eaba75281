"""Several users of one machine at one workspace, each with a umask, and a third one who is a stranger to them.

The interpreter's own files may not be readable by all of them. So one process imports all that is needed, and each step is
a child of it that becomes its user.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import attrs

import molexp as me
from molexp_cli._main import run as molexp
from tests.crash.talking import tell

GROUP = 41000


@attrs.frozen
class User:
    """A user, with a home and a umask."""

    name: str
    uid: int
    groups: tuple[int, ...]
    umask: int

    def become(self, home: Path) -> None:
        os.environ.update(HOME=str(home), USER=self.name, LOGNAME=self.name)
        for name in ("MOLEXP_CACHE_DIR", "MOLEXP_SPOOL_DIR", "MOLEXP_CONFIG_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
            os.environ.pop(name, None)
        os.setgroups(self.groups)
        os.setgid(self.uid)
        os.setuid(self.uid)
        os.umask(self.umask)


class Machine:
    """A machine with three users, a ``/tmp`` that everybody may write to, and a folder of a group of two.

    Args:
        folder: where all that lies.
        umasks: ann's and ben's.
    """

    def __init__(self, folder: Path, umasks: tuple[int, int]) -> None:
        self.users = {
            "ann": User("ann", 41001, (GROUP,), umasks[0]),
            "ben": User("ben", 41002, (GROUP,), umasks[1]),
            "mal": User("mal", 41003, (), 0o022),
        }
        self.folder, self.tmp, self.lab = folder, folder / "tmp", folder / "group" / "lab"
        for above in (folder, *folder.parents):
            if above.stat().st_uid == 0 and not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o005)
        self.tmp.mkdir()
        self.tmp.chmod(0o1777)
        self.lab.parent.mkdir()
        os.chown(self.lab.parent, self.users["ann"].uid, GROUP)
        self.lab.parent.chmod(0o2775)
        os.environ["TMPDIR"] = str(self.tmp)
        tempfile.tempdir = None
        for user in self.users.values():
            home = folder / user.name
            home.mkdir()
            os.chown(home, user.uid, user.uid)
            home.chmod(0o755)

    def do(self, name: str, act: Callable[..., object], *arguments: object) -> None:
        """Do something as a user, in the user's home; tell the exit code and what was printed."""
        out, err = self.folder / "out", self.folder / "err"
        with out.open("wb") as printed, err.open("wb") as complained:
            pid = os.fork()
            if not pid:
                code = 70
                try:
                    os.dup2(printed.fileno(), 1)
                    os.dup2(complained.fileno(), 2)
                    home = self.folder / name
                    self.users[name].become(home)
                    os.chdir(home)
                    code = int(act(*arguments) or 0)  # type: ignore[call-overload]
                except me.MolexpError as error:
                    print(f"{type(error).__name__}: {error}", file=sys.stderr)
                    code = 1
                except Exception:  # noqa: BLE001 - it is told
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        did = " ".join(str(argument) for argument in arguments if argument != self.lab) or act.__name__
        tell(who=name, did=did, code=code, out=out.read_text(), err=err.read_text())


def track(lab: Path, *names: str) -> None:
    """Track runs, one data set, and free one that was deleted."""
    ws = me.Workspace(lab)
    experiment = ws.Project("metals").Experiment("cu")
    for name in names:
        with experiment.Run({"name": name}, id=name).start() as ctx:
            ctx.set_result("name", name)
            ctx.artifact.save("a.json", {"name": name})
            ctx.log("relax").append(name)


def command(lab: Path, *arguments: str) -> int:
    """A command line."""
    return molexp(["-w", str(lab), *arguments])


def plant(tmp: Path, victim: int, secret: Path) -> None:
    """Lay out, where everybody may write, all that a program of that user may look for, and links to a private file."""
    import platform

    places = [tmp / name for name in (f"molexp-spool-{victim}", f"molexp-{victim}", f"molexp-cache-{victim}", "molexp")]
    url = "s3://bucket/lab"
    key = sha256(url.encode()).hexdigest()[:16]
    for place in places:
        box = place / platform.node() / key / "x"
        box.mkdir(parents=True)
        (box / "1").symlink_to(secret)
        (box / "spool").write_text("H{}\n")
        (box / "spool").chmod(0o666)


def everything_private(home: Path) -> None:
    """Fail unless nobody else may read or write what was made in a home, but what the user put there."""
    for path in home.rglob("*"):
        if path.is_symlink() or path.parts[len(home.parts)] not in (".cache", ".local", ".config"):
            continue
        if path.name in (".cache", ".local", ".config") or path.parent.name == ".local":
            continue  # everybody's programs make those
        mode = path.stat().st_mode & 0o777
        assert not mode & 0o077, f"{path}: {mode:o}"


def users(folder: str, ann: str, ben: str) -> None:
    """The story: two users share, a third one tries."""
    base = Path(folder).parent / "machine"
    base.mkdir()
    _import_everything(Path(folder).parent)
    machine = Machine(base, (int(ann, 8), int(ben, 8)))
    lab = machine.lab
    secret = base / "ann" / "secret"
    secret.write_text("ann's secret")
    os.chown(secret, machine.users["ann"].uid, -1)
    secret.chmod(0o600)
    machine.do("mal", plant, machine.tmp, machine.users["ann"].uid, secret)
    machine.do("ann", track, lab, "a1", "a2")
    machine.do("ben", track, lab, "b1", "b2")
    machine.do("mal", track, lab, "m1")
    for who in ("ann", "ben", "mal"):
        machine.do(who, command, lab, "runs", "list", "--json")
        for arguments in (("catalog", "compact"), ("catalog", "rebuild"), ("catalog", "verify"), ("fsck",), ("gc",)):
            machine.do(who, command, lab, *arguments)
    machine.do("ann", track, lab, "a3")
    machine.do("ben", track, lab, "b3")
    for who in ("ann", "ben", "mal"):
        machine.do(who, command, lab, "runs", "list", "--json")
    for who in ("ann", "ben"):
        machine.do(who, everything_private, base / who)
    made_by_mal = [str(path) for path in lab.rglob("*") if path.lstat().st_uid == machine.users["mal"].uid]
    leaked = [str(path) for path in lab.rglob("*") if path.is_file() and b"ann's secret" in path.read_bytes()]
    tell(made_by_mal=made_by_mal, leaked=leaked)


def _import_everything(folder: Path) -> None:
    """Import what all of it imports, found out by a child that does it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)
        trial = folder / "trial"
        trial.mkdir()
        os.environ.update(MOLEXP_CACHE_DIR=str(trial / "cache"), HOME=str(trial))
        track(trial / "lab", "a", "b")
        for arguments in (
            ("runs", "list", "--json"),
            ("catalog", "compact"),
            ("catalog", "verify"),
            ("fsck",),
            ("gc",),
        ):
            command(trial / "lab", *arguments)
        os.write(writer, "\n".join(sys.modules).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as names:
        for name in names.read().split("\n"):
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # a module that another one put there
    os.waitpid(pid, 0)
    shutil.rmtree(folder / "trial", ignore_errors=True)
