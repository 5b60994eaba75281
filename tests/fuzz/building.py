"""A workspace that has one of everything, its reader's index, and a tree beside it that nobody may touch."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import attrs

import molexp as me
from molexp.workflow import WorkflowBuilder

CANARY = b"canary-0b1c5e1f: whoever reads this has left the workspace"
"""In every file of the tree outside; it must not come to lie anywhere else, nor be printed."""

OUTSIDE = (
    *(f"train-{number}.jsonl" for number in range(3)),
    *("1.json", "7.json", "1-0123456789abcdef.sqlite3", "run.json", "workspace.json", "a.json", "train.log"),
    *("ssh/id_rsa", "deep/er/still/secret.txt", "runs/other/run.json", "executions/1.jsonl"),
)


@attrs.frozen
class Places:
    """Describe the place where a case plays, all of it below one folder."""

    base: Path

    @property
    def lab(self) -> Path:
        """The workspace."""
        return self.base / "lab"

    @property
    def cache(self) -> Path:
        """Its reader's index."""
        return self.base / "cache"

    @property
    def config(self) -> Path:
        """The user's ``storage.toml``."""
        return self.base / "config"

    @property
    def outside(self) -> Path:
        """Make what is nobody's business."""
        return self.base / "outside"

    @property
    def here(self) -> Path:
        """The current folder, and where copies go."""
        return self.base / "here"


def build(places: Places) -> None:
    """Make all of it."""
    for name in OUTSIDE:
        path = places.outside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CANARY)
    places.config.mkdir()
    (places.config / "storage.toml").write_text('["s3://"]\nregion = "eu-central-1"\n')
    sources = places.base / "sources"
    (sources / "tree").mkdir(parents=True)
    for name in ("first.txt", "tree/a", "tree/b"):
        (sources / name).write_text(name)
    ws = me.Workspace(places.lab).materialize()
    ws.configure(durability="never")
    _finished(ws, sources)
    ws.catalog.compact()
    _others(ws)
    _workflow(ws)
    _from_elsewhere(ws)
    _living(ws, places)
    me.Workspace.load(places.lab).catalog.runs()
    shutil.rmtree(sources)


def _finished(ws: me.Workspace, sources: Path) -> None:
    """Runs that have ended, and data."""
    exp = ws.Project("metals").Experiment("cu", params={"a": 3.6}, space=[{"n": 1}, {"n": 2}])
    ws.data_assets.import_asset("shared", sources / "first.txt", tags=["x"])
    exp.project.data_assets.import_asset("tree", sources / "tree")
    with exp.Run({"n": 1, "opt": {"lr": 0.1}}, id="done").start() as ctx:
        ctx.set_result("energy", -3.72)
        ctx.set_result("gap", float("nan"))
        ctx.artifact.save("a.json", {"v": [1, 2, 3]})
        ctx.checkpoint.save("c.json", {"w": 1}, step=3)
        for step in range(3):
            ctx.metrics.log(step=step, loss=1 / (step + 1))
            ctx.log("train").append(f"step {step}")
        ctx.find_asset("shared")
    run = exp.run("done")
    with run.start() as ctx:  # once more
        ctx.set_result("energy", -3.75)
        ctx.artifact.save("a.json", {"v": [4]})
    run.annotate(tags=["good", "best"], note="look here")
    run.annotate(untag=["best"])
    try:
        with exp.Run({"n": 2}, id="failed").start() as ctx:
            ctx.artifact.save("b.json", [1])
            raise ValueError("no")
    except ValueError:
        pass
    exp.Run({"n": 9}, id="gone").delete()
    ws.Project("metals").Experiment("cu", params={"a": 3.7}, update=True)


def _others(ws: me.Workspace) -> None:
    """Make changes that the newest snapshot does not know."""
    exp = ws.Project("metals").Experiment("ag")
    exp.Run({"n": 3}, id="pending")
    exp.Run({"n": 4}, id="cancelled").cancel()
    exp.Run({"n": 5}, id="old").archive()
    for number in range(3):
        with exp.Run({"n": number}, id=f"r{number}").start() as ctx:
            ctx.set_result("x", number)


def _workflow(ws: me.Workspace) -> None:
    flow = WorkflowBuilder(name="flow")

    @flow.task
    def first(ctx):
        ctx.set_result("points", 3)
        ctx.artifact.save("points.json", [1, 2, 3])
        return [1, 2, 3]

    @flow.task(depends_on=["first"])
    def second(ctx):
        return sum(ctx.inputs)

    run = ws.Project("organics").Experiment("water").Run({"n": 1}, id="flow")
    flow.build().execute_sync(run=run)


def _from_elsewhere(ws: me.Workspace) -> None:
    """Segments, as storage without append has them."""
    other = me.Workspace("memory://fuzz", storage_options={"append": False})
    with other.Project("remote").Experiment("s3").Run({"n": 1}, id="sent").start() as ctx:
        ctx.set_result("x", 1)
        ctx.log("train").append("sent")
        ctx.artifact.save("a.json", [1])
    me.sync_workspace(other, ws, merge=True)


def _living(ws: me.Workspace, places: Places) -> None:
    """A run that goes on somewhere else, with its lease, and one whose process is dead."""
    exp = ws.Project("metals").Experiment("ag")
    for name in ("living", "dead"):
        if (pid := os.fork()) == 0:
            try:
                context = me.Workspace(places.lab).project("metals").experiment("ag").Run(id=name).start()
                context.set_result("x", 1)
                context.artifact.save("half.json", [1])
                context._attempt.beat()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    claim = places.lab / f"projects/metals/experiments/{exp.id}/runs/living/executions/1.jsonl"
    first, rest = claim.read_bytes().split(b"\n", 1)
    document = json.loads(first)
    document["owner"]["host"] = "elsewhere"
    claim.write_bytes(json.dumps(document).encode() + b"\n" + rest)


# ------------------------------------------------------------------------------------------------------ as it was before


@attrs.frozen
class Entry:
    """Describe what lies at a path: a link, a folder or a file, with all that can be told of it."""

    path: str
    mode: int
    modified: int
    content: bytes | None


def take(root: Path) -> list[Entry]:
    """All that lies below a folder, itself included, parents first."""
    found = []
    waiting = [os.fsencode(root)]
    while waiting:
        path = waiting.pop()
        status = os.lstat(path)
        content: bytes | None = None
        if stat.S_ISDIR(status.st_mode):
            waiting += [os.path.join(path, name) for name in sorted(os.listdir(path))]
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                content = file.read()
        found.append(Entry(os.fsdecode(path), status.st_mode, status.st_mtime_ns, content))
    return found


def put(entries: list[Entry]) -> None:
    """Put them back where they were, nothing being there."""
    for entry in entries:
        if stat.S_ISDIR(entry.mode):
            os.mkdir(entry.path, 0o700)
            continue
        assert entry.content is not None
        if stat.S_ISLNK(entry.mode):
            os.symlink(entry.content, os.fsencode(entry.path))
            continue
        fd = os.open(entry.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IMODE(entry.mode))
        os.write(fd, entry.content)
        os.close(fd)
    for entry in reversed(entries):
        if not stat.S_ISLNK(entry.mode):
            os.chmod(entry.path, stat.S_IMODE(entry.mode))
            os.utime(entry.path, ns=(entry.modified, entry.modified))
