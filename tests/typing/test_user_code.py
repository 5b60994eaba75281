"""Type checkers pass the documented API in a user's code, and refuse mistakes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT

HEAD = """
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import molexp as me
from molexp import ExperimentT, ProjectT, RunStatus, RunT
from molexp.contracts import Call, Executor, Growth, Outcome, Resources, Sink, Source


def prepare(ws: me.Workspace) -> me.Experiment:
    project: me.Project = ws.Project("metals")
    return project.Experiment("cu", params={"a": 3.6}, space=[{"a": 3.5}, {"a": 3.7}], replicas=2)


def relax(ctx: me.Context) -> float:
    reference: me.Asset | None = ctx.find_asset("reference")
    volumes = [float(ctx.params["a"]) * scale for scale in (0.98, 1.0, 1.02)]
    ctx.set_result("n_points", len(volumes))
    saved: me.Asset | None = ctx.artifact.save("volumes.json", volumes)
    assert saved is None or saved.name == "volumes.json"
    ctx.log("relax").append(f"{len(volumes)} volumes, {reference}")
    ctx.logger.info("done")
    with ctx.artifact.writing("md.traj") as path:
        path.write_bytes(b"")
    noted: me.Asset[str, Words] | None = ctx[Text].save("note", "converged")
    length: int = ctx[Text].load("note").count("e") + (noted.fields.words if noted is not None else 0)
    ctx.set_result("length", length)
    return min(volumes)
"""

KINDS = """
@dataclass(frozen=True)
class Words:
    words: int


class Text(me.AssetKind[str, Words]):
    name = "text"

    def save(self, obj: str, sink: Sink) -> Words:
        sink.write(obj.encode())
        return Words(len(obj.split()))

    def load(self, source: Source[Words]) -> str:
        with source.open() as stream:
            return stream.read().decode()


class Word:
    def append(self, item: str) -> bytes:
        return item.encode()

    def fields(self) -> Words:
        return Words(1)


class Prose(Text):
    name = "prose"

    def growing(self) -> Growth[str, Words]:
        return Word()
"""

REST = """
class Lab(me.Workspace):
    def newest(self) -> RunT:
        return self.run("@latest")

    def metals(self) -> ProjectT:
        return self.Project("metals")

    def copper(self) -> ExperimentT:
        return self.metals().Experiment("cu")


class Here(Executor):
    resources: Resources | None = None
    last: Call | Outcome | None = None


ws = me.Workspace(Path("lab"))
exp = prepare(ws)
run: me.Run = exp.Run(parameters={"a": 3.7}, id="cu-large")
status: RunStatus = run.status
energy: object = run.results["energy"]
for attempt in run.execution_history:
    print(attempt["status"])

with exp.Run({"a": 3.5}).start() as ctx:
    for step in range(100):
        ctx.metrics.log(step=step, loss=1 / (step + 1))
    relax(ctx)
    with ctx[Prose].growing("prose") as prose:
        prose.append("converged")
        prose.flush()
    length: int = ctx[Prose].load("prose").count("e")
    by_kind: me.Asset[str, Words] | None = ctx.save("note", "converged", kind=Text)
    with ctx.prose.growing("more") as more:
        more.append("of any type")
    made: RunT = ctx.run
    data: me.DataAssets = made.experiment.data_assets
    feature: me.DataAsset = data.import_asset("feature-cache", "features.parquet", action="move")
    exit_code: int = ctx.shell(["true"])

projects: me.Members[ProjectT] = ws.projects
experiments: me.Members[me.ExperimentT] = ws.project("metals").experiments
runs: me.Runs = exp.runs
ids: list[str] = [found.id for found in runs]
lines: list[str] = run.logs["relax"].tail()
rows: me.Rows[me.RunRow] = ws.catalog.runs()
found_rows: me.Rows[me.RunRow] = ws.catalog.runs("params.a > 3", sort="-results.energy")
differing: me.Rows[Mapping[str, Any]] = ws.compare(run, "metals/cu/cu-small", *rows)
columns: tuple[str, ...] = differing.columns
lineage: me.Lineage = ws.catalog.lineage(run)
made_from: tuple[me.LineageNode, ...] = ws.catalog.lineage(feature, downstream=False).upstream
kinds: set[str] = {child.kind for node in made_from for child in node.children}
attempts: list[int | None] = [edge.attempt for edge in lineage.edges()]
texts: list[str] = [asset.load() for asset in ws.catalog.assets("words > 1", kind=Text)]
words: int = sum(asset.fields.words for asset in ws.catalog.assets(kind=Text))
found_note: str = run.asset("note", kind=Text).load()
noted: me.Asset[str, Words] | None = ctx.find_asset("note", kind=Text)
named: me.Asset = ctx.asset("note", kind="text")
untyped: me.Rows[me.Asset] = ws.catalog.assets(kind="text")
taken_at: int | None = exp.Run().asset("model").fields.step
report: me.Report = ws.fsck()
if ctx_or_not := run.start(if_succeeded="skip"):
    with ctx_or_not as asked:
        asked.set_result("energy", -3.7)
else:
    print(ctx_or_not.run.results)
swept: me.Rows[me.RunRow] = exp.sweep(relax, space={"a": [3.5, 3.6]}, jobs=2, on_error="stop", executor="process")
bound: float = exp.bind(relax)(ctx)
last_loss: object = run.metrics.last["loss"]
joined: list[str] = run.log("relax").tail()
try:
    ws.run("metals/cu/none")
except me.NotFoundError as error:
    print(error.nearest)
"""

WRONG = """
import molexp as me
import molexp.contracts
import molexp.workflow
from molexp import Wrkspace
from molexp.contracts import Exekutor
ws = me.Wrokspace("lab")
lab = me.Workspace(42)
def first(run: me.RunTT) -> None: ...
molexp.contracts.Stoer
exp = me.Workspace("lab").Project("metals").Experiment("cu", parms={})
me.Workspace("lab").Project(7)
exp.Run(["a"])
exp.Run({}, id=7)
exp.Run().strat()
number: int = exp.Run().id
with exp.Run().start(wait="long") as ctx: pass
with exp.Run().start(if_succeeded="skip") as ctx: pass
exp.sweep(print, on_error="ignore")
exp.sweep(7)
exp.runs[0].metrics.lst
exp.runs[0].log("relax").append("line")
ctx.set_result(1, 2)
ctx.metrics.log(step="first")
ctx.shell(["true"], check="no")
exp.data_assets.import_asset("a", "b", action="steal")
exp.runs[0].statsu
me.Workspace("lab").catalog.lineage(7)
me.Workspace("lab").catalog.lineage("a/b/c").upstraem
me.Workspace("lab").compare(1, 2)
molexp.workflow.WorkflowBuilder("relax").task(retry=3)
molexp.workflow.WorkflowBuilder("relax").task(retries="3")
molexp.workflow.WorkflowBuilder("relax").build().execute_sync(parameters={})
handle = molexp.workflow.WorkflowBuilder("relax").build().start(check=True)
ctx.checkpoint.save("a", 1).fields
number = 0 if (asset := ctx.checkpoint.latest()) is None else asset.fields.stp
with ctx[Prose].growing("prose") as words: words.append(3)
ctx[Text].save("note", 3)
ctx.save("note", 3, kind=Text)
ctx[Prose].load("prose").cuont("e")
"""


def found(folder: Path, text: str) -> dict[int, list[str]]:
    """Return what mypy complains about in a script of a user who has installed the packages: line to messages."""
    script = folder / "script.py"
    script.write_text(text, encoding="utf-8")
    config = folder / "mypy.ini"
    config.write_text("[mypy]\n", encoding="utf-8")  # theirs, not ours
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(config), "--no-error-summary"]
    environment = os.environ | {"MYPYPATH": f"{ROOT / 'molexp-core' / 'src'}{os.pathsep}{ROOT / 'molexp-fs' / 'src'}"}
    cache = f"--cache-dir={folder.parent / 'mypy_cache'}"  # the second script finds what the first one has read
    ended = subprocess.run(
        [*command, cache, script.name], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    messages: dict[int, list[str]] = {}
    for line in ended.stdout.splitlines():
        place = re.match(r"script\.py:(\d+): error: (.*)", line)
        assert place or ": note: " in line, line
        if place:
            messages.setdefault(int(place[1]), []).append(place[2])
    return messages


@pytest.fixture(autouse=True)
def _has_mypy():
    pytest.importorskip("mypy")


def test_the_documented_api_passes_strict_checks(tmp_path):
    assert found(tmp_path, HEAD + KINDS + REST) == {}


def test_every_mistake_is_reported(tmp_path):
    before = (
        "from dataclasses import dataclass\nfrom molexp.contracts import Growth, Sink, Source\nimport molexp as me"
        + KINDS
    )
    lines = enumerate(WRONG.splitlines(), len(before.splitlines()) + 1)
    wrong = {number for number, line in lines if line and not line.startswith("import")}
    reported = found(tmp_path, before + WRONG)
    assert reported.keys() == wrong, reported
