"""A process that does everything at random for a while, and keeps a ledger of what was acknowledged.

Each writer owns the runs that it makes: nobody else starts, tags or deletes them. Everything else is everybody's.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import molexp as me
from molexp.errors import ConflictError
from tests.crash.talking import tell

MIRRORS = 3
EXPERIMENTS = ("cu", "ag")
PATIENCE = 300.0  # seconds that a sync may take from one look at what was deleted to the next


class Failed(Exception):
    """An exception of the tracked code itself."""


class Writer:
    """One writer: its workspace, its ledger, and what it knows to be true.

    Attributes:
        values: the result of each run that was acknowledged and is not deleted.
        deleted: the runs whose deletion was acknowledged.
        wrong: what was not as the ledger says.
        refused: how often each error was given, by its class.
    """

    def __init__(self, folder: str, name: str, seconds: str) -> None:
        self.folder = Path(folder)
        self.name = name
        self.until = time.monotonic() + float(seconds)
        self.random = random.Random(f"writer {name}")
        self.ws = me.Workspace(folder)
        self.project = self.ws.Project("metals")
        self.experiments = {name: self.project.Experiment(name) for name in EXPERIMENTS}
        self.source = self.folder.parent / f"source-{name}"
        self.ledger = (self.folder.parent / f"ledger-{name}.jsonl").open("a", buffering=1)
        self.values: dict[str, Any] = {}
        self.tags: dict[str, set[str]] = {}
        self.deleted: set[str] = set()
        self.number = 0
        self.counts: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.wrong: list[str] = []

    def note(self, **facts: Any) -> None:
        """Something was acknowledged."""
        self.ledger.write(json.dumps(facts) + "\n")

    def go(self) -> None:
        """Do things until the time is over; tell what was counted and what was wrong."""
        weights: dict[Callable[[], None], int] = {
            self.track: 30,
            self.again: 6,
            self.tag: 10,
            self.delete: 8,
            self.look: 10,
            self.import_data: 6,
            self.redefine: 3,
            self.collect: 3,
            self.compact: 3,
            self.rebuild: 2,
            self.sync_out: 4,
            self.sync_back: 4,
        }
        acts, shares = list(weights), list(weights.values())
        while time.monotonic() < self.until:
            (act,) = self.random.choices(acts, shares)
            try:
                act()
                self.count(act.__name__)
            except ConflictError as error:
                if act != self.redefine:
                    raise
                self.refused[type(error).__name__] = self.refused.get(type(error).__name__, 0) + 1
        tell(counts=self.counts, refused=self.refused, wrong=self.wrong)

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # --------------------------------------------------------------------------------------------------------- runs

    def track(self) -> None:
        self.number += 1
        experiment = self.experiments[self.random.choice(EXPERIMENTS)]
        run = experiment.Run({"writer": self.name, "number": self.number}, id=f"w{self.name}-{self.number}")
        self.attempt(run)

    def attempt(self, run: me.Run) -> None:
        value, fails = self.random.random(), self.random.random() < 0.2
        text = f"{run.path} {value}" * self.random.randrange(1, 200)
        try:
            with run.start() as ctx:
                ctx.set_result("value", value)
                ctx.artifact.save("text.txt", text)
                ctx.log("relax").append(f"value {value}")
                ctx.metrics.log(step=1, loss=value)
                if fails:
                    raise Failed
        except Failed:
            pass
        status = "failed" if fails else "succeeded"
        self.values[run.path] = value
        self.note(
            op="run", path=run.path, value=value, status=status, hash="sha256:" + sha256(text.encode()).hexdigest()
        )

    def mine(self) -> me.Run | None:
        return self.ws.run(self.random.choice(sorted(self.values))) if self.values else None

    def again(self) -> None:
        if run := self.mine():
            self.attempt(run)

    def tag(self) -> None:
        if run := self.mine():
            tag = f"t{self.random.randrange(100)}"
            run.annotate(tags=[tag])
            self.note(op="tag", path=run.path, tag=tag)

    def delete(self) -> None:
        if run := self.mine():
            run.delete()
            self.note(op="delete", path=run.path)
            del self.values[run.path]
            self.deleted.add(run.path)

    # ----------------------------------------------------------------------------------------------------- questions

    def look(self) -> None:
        """Nothing of one's own is missing, nothing that was deleted is there, and the values are the last ones."""
        rows = {row.path: row for row in self.ws.catalog.runs(f'params.writer == "{self.name}"')}
        self.wrong += [f"{path} is missing" for path in self.values.keys() - rows.keys()]
        self.wrong += [f"{path} was deleted, and is there" for path in self.deleted & rows.keys() if self.stays(path)]
        for path in self.values.keys() & rows.keys():
            if rows[path].results.get("value") != self.values[path]:
                self.wrong.append(f"{path}: {rows[path].results} instead of {self.values[path]}")

    def stays(self, path: str) -> bool:
        """A run that was freed while a sync was bringing it does not stay: the sync looks again, and hides it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if path not in {row.path for row in self.ws.catalog.runs(f'params.writer == "{self.name}"')}:
                return False
        return True

    # -------------------------------------------------------------------------------------------- everybody's things

    def import_data(self) -> None:
        name, text = f"shared-{self.random.randrange(4)}", f"{self.name} {self.random.random()}"
        self.source.write_text(text)
        asset = self.project.data_assets.import_asset(name, self.source)
        self.note(op="import", name=name, version=asset.version, text=text)

    def redefine(self) -> None:
        name, params = self.random.choice(EXPERIMENTS), {"by": self.name, "x": self.random.random()}
        self.project.Experiment(name, params=params, update=True)
        self.note(op="redefine", experiment=name, params=params)

    def collect(self) -> None:
        self.ws.gc(dry_run=False)

    def compact(self) -> None:
        self.ws.catalog.compact()

    def rebuild(self) -> None:
        report = self.ws.catalog.rebuild()
        if not report.ok:
            self.wrong.append(str(report))

    def mirror(self) -> Path:
        return self.folder.parent / f"mirror-{self.random.randrange(MIRRORS)}"

    def sync_out(self) -> None:
        self.sync(self.folder, self.mirror())

    def sync_back(self) -> None:
        if (mirror := self.mirror()).joinpath("workspace.json").exists():
            self.sync(mirror, self.folder)

    def sync(self, source: Path, destination: Path) -> None:
        report = me.sync_workspace(str(source), str(destination))
        if not report.ok:
            self.wrong.append(str(report))


def everything(folder: str, name: str, seconds: str) -> None:
    """Do everything at random."""
    Writer(folder, name, seconds).go()


def settle(folder: str) -> None:
    """Sync out and back, and free what was deleted, until nobody has any news; tell what was not well."""
    lab = Path(folder)
    mirrors = [mirror for number in range(MIRRORS) if (mirror := lab.parent / f"mirror-{number}").exists()]
    wrong: list[str] = []
    for last in (False, False, True):
        for source, destination in [(one, lab) for one in mirrors] + [(lab, one) for one in mirrors]:
            report = me.sync_workspace(str(source), str(destination))
            wrong += [] if report.ok else [str(report)]
            if last and report.counts["copied"]:
                wrong.append(f"there was still something to copy from {source.name} to {destination.name}: {report}")
        for one in (lab, *mirrors):
            me.Workspace.load(one).gc(dry_run=False)
    tell(wrong=wrong)


def report(folder: str) -> None:
    """Tell all that a workspace says of its runs and its data: by its files, its catalog, and a rebuilt one."""
    ws = me.Workspace.load(folder)
    catalog = {row.path: [str(row.status), dict(row.results)] for row in ws.catalog.runs()}
    files = {}
    for run in (run for project in ws.projects for experiment in project.experiments for run in experiment.runs):
        text = run.asset("text.txt")
        digest = "sha256:" + sha256(text.read_bytes()).hexdigest()
        files[run.path] = [str(run.status), dict(run.results), sorted(run.tags), digest]
    data = ws.project("metals").data_assets
    versions = {name: {asset.version: asset.read_bytes().decode() for asset in data.versions(name)} for name in data}
    revisions = {name: ws.project("metals").experiment(name).params for name in EXPERIMENTS}
    left = [str(finding) for finding in ws.fsck().findings]
    verified = str(ws.catalog.verify())
    os.environ["MOLEXP_CACHE_DIR"] += "-anew"
    anew = {row.path: [str(row.status), dict(row.results)] for row in me.Workspace.load(folder).catalog.runs()}
    tell(catalog=catalog, files=files, anew=anew, data=versions, params=revisions, fsck=left, verified=verified)
