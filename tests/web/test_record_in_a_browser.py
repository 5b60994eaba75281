"""A static copy beside its workspace: the open page follows the record, which a web server or a bucket shows as it is."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder
from molexp_web._export.export import export
from molexp_web._export.gathering import document_of
from tests import warm
from tests.web import labs
from tests.web.browsing import CHROMIUM, WHY, visiting

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason=WHY)]

BUCKET = "molexp-for-browsers"
ANYBODY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": ["*"]},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        }
    ],
}

PROGRAM = """
import sys
import molexp as me
run = me.Workspace.load(sys.argv[1]).project("potentials").experiment("train").Run({"lr": 0.5}, id="moving")
with run.start() as ctx:
    print("begun", flush=True)
    for step, line in enumerate(sys.stdin):
        ctx.metrics.log(step=step, loss=float(line))
        ctx.log("out").append(f"loss {line.strip()}")
        ctx.set_result("best", float(line))
        ctx.metrics.flush()
        ctx.flush()
        print("logged", flush=True)
"""


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Unlisted(Silent):
    def list_directory(self, path: Any) -> None:
        self.send_error(404)


class Hiding(Silent):
    def send_head(self) -> Any:
        return self.send_error(403) if "/." in self.path else super().send_head()


class Starting(Silent):
    """It is busy when it is asked for something for the first time."""

    asked: ClassVar[set[str]]

    def send_head(self) -> Any:
        path = self.path.removeprefix("/lab/")
        if path in ("workspace.json", "projects/", ".molexp/") and path not in self.asked:
            self.asked.add(path)
            return self.send_error(503)
        return super().send_head()


@attrs.frozen
class Place:
    """A workspace, the place of a copy, the address of that, and a way to write a file into the workspace."""

    lab: me.Workspace
    copy: str
    address: str
    write: Callable[[str, bytes], object]


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    lab = labs.ordinary(tmp_path / "lab", runs=1)

    def write(key: str, data: bytes) -> None:
        path = tmp_path / "lab" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    handler = functools.partial(getattr(request, "param", Silent), directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/site/"
        yield Place(lab, str(tmp_path / "site"), address, write)
        server.shutdown()


@pytest.fixture
def bucket(any_server, monkeypatch) -> Place:
    place = attrs.evolve(any_server.fresh(), name=BUCKET)
    for name, value in place.as_environment()[1].items():
        monkeypatch.setenv(name, value)
    any_server.client.create_bucket(Bucket=BUCKET)
    any_server.client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(ANYBODY))
    address = f"{any_server.url}/{BUCKET}/{place.prefix}/site/index.html"
    lab = labs.ordinary(f"{place.url}/lab", runs=1)
    return Place(lab, f"{place.url}/site", address, lambda key, data: place.raw_write(f"lab/{key}", data))


@attrs.frozen
class Moving:
    """A run that goes on in another process, until it is left."""

    process: Any

    def log(self, value: float) -> None:
        self.process.stdin.write(f"{value}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "logged\n"

    def end(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(300) == 0


@pytest.fixture
def begin() -> Iterator[Callable[[Place], Moving]]:
    begun: list[Any] = []

    def begin(place: Place) -> Moving:
        command = [sys.executable, "-c", PROGRAM, place.lab.url]
        begun.append(warm.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert begun[-1].stdout.readline() == "begun\n"
        return Moving(begun[-1])

    yield begin
    for one in begun:
        one.stdin.close()
        one.wait(300)
        one.stdout.close()


CHANGES = """
import sys
import molexp as me
lab = me.Workspace.load(sys.argv[1])
with lab.run("potentials/train/only").start() as ctx:
    ctx.set_result("rmse", 0.25)
lab.run("solvation/relax/r0").delete()
"""

STRANGE = '{"toString":0,"valueOf":0}'  # no text, and nothing can be made one of it
HURT = "projects/potentials/experiments/train/runs/hurt"
LOOKS = 500  # at most: a loaded machine takes its time, and one look is cheap
RUN = "#/runs/potentials/train/moving"


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_run_that_goes_on_is_seen_to_move_and_a_new_one_appears(browser, request, begin, kind):
    place: Place = request.getfixturevalue(kind)
    moving = begin(place)
    moving.log(1.5)
    export(place.lab, place.copy)
    with visiting(browser, f"{place.address}{RUN}") as visitor:
        page = visitor.page
        visitor.reads("figcaption", "loss: 1.5 at step 0")
        moving.log(0.25)
        page.evaluate("look()")
        visitor.reads("figcaption", "loss: 0.25 at step 1")
        visitor.reads("pre", "loss 1.5\nloss 0.25")
        visitor.reads("dd", "0.25")
        visitor.reads("#record", "reads what is new from the workspace itself")
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url) if one.method == "GET" else None)
        files = [""]
        for _ in range(LOOKS):  # the program may still be writing where it comes from
            asked.clear()
            page.evaluate("look()")
            files = [one for one in asked if "/lab/projects/" in one and not one.endswith("/")]
            if not files:
                break
        assert files == [], "nothing is new, so no file is read"
        page.evaluate("location.hash = '#/runs?sort=-created_at'")
        place.write(f"{HURT}/run.json", b'{"schema":1,')
        place.write(
            ".molexp/journals/feedfeedfeedfeed-000001.jsonl", f'{{"keys":[{STRANGE},"{HURT}/run.json"]}}\n'.encode()
        )
        with place.lab.Project("later").Experiment("e").Run({labs.SCRIPT: labs.SCRIPT}, id="fresh").start() as ctx:
            ctx.metrics.log(step=7, loss=3.5)
            ctx.set_result("rmse", 0.75)
        moving.end()
        page.evaluate("look()")
        visitor.reads(".found", "4 of 4 runs")
        visitor.reads("#record", "1 run cannot be read")
        assert page.inner_text("tbody tr >> nth=0").startswith("fresh\tsucceeded")
        assert page.inner_text("tbody tr >> nth=1").startswith("moving\tsucceeded")
        if kind == "bucket":  # as of an experiment that is too large to be listed whole
            later = "list('projects/potentials/experiments/train/runs/', { after: 'n' }).then((one) => [...one.keys()])"
            assert page.evaluate(later) == ["only"]
            assert "too large" not in page.evaluate("listRuns().then(noteOnRecord)")
            place.write(f"{HURT}-too/run.json", b"{")  # a fourth one, of which three pages of one are read
            page.route("**/*list-type=2*", lambda route: route.continue_(url=f"{route.request.url}&max-keys=1"))
            assert "too large to be listed" in page.evaluate("listRuns().then(noteOnRecord)")
            page.unroute("**/*list-type=2*")
        page.get_by_role("link", name="fresh").click()
        visitor.reads("figcaption", "loss: 3.5 at step 7")
        visitor.reads("dd", "0.75")
        visitor.reads("dt", labs.SCRIPT)
        page.goto(f"{place.address}#/")
        visitor.reads(".counts", "4 runs")
        visitor.reads("main tr", "later/e")
        assert "owned" not in page.title()
        # A journal names what is about to be created, and is moved as its writer ends: the browser says so.
        assert [one for one in visitor.told if "404" not in one] == []


@pytest.mark.parametrize("folder", [Unlisted], indirect=True)
def test_where_nothing_is_listed_known_runs_move_and_a_silent_one_is_not_called_running(browser, folder, begin):
    moving = begin(folder)
    moving.log(1.5)
    export(folder.lab, folder.copy)
    with visiting(browser, f"{folder.address}{RUN}") as visitor:
        visitor.reads("#record", "new runs appear with the next export")
        moving.log(0.25)
        visitor.page.evaluate("look()")
        visitor.reads("figcaption", "loss: 0.25 at step 1")
        visitor.reads("h1", "running")
        run = Path(folder.copy).parent / "lab/projects/potentials/experiments/train/runs/moving"
        for _ in range(LOOKS):
            ago = time.time() - 7200
            for path in run.rglob("*.*"):
                os.utime(path, (ago, ago))
            visitor.page.evaluate("look()")
            if "silent" in visitor.page.inner_text("h1"):
                break
        visitor.reads("main p", "No sign of life for 2.0 h")
        moving.end()
        visitor.page.evaluate("look()")
        visitor.reads("h1", "succeeded")
        assert [one for one in visitor.told if "404" not in one] == [], "that a folder cannot be listed is said"


def test_what_was_announced_and_compacted_is_looked_at_when_it_is_shown(browser, folder):
    lab = folder.lab
    export(lab, folder.copy)
    with warm.Popen([sys.executable, "-c", CHANGES, lab.url]) as process:
        assert process.wait(300) == 0
    assert lab.catalog.compact().counts["snapshot"] == 1
    with visiting(browser, f"{folder.address}#/runs?columns=results.rmse") as visitor:
        visitor.reads("tbody tr", "deleted")
        visitor.reads("tbody td", "0.25")
        visitor.reads("#record", "Of runs that had ended, what changed since the copy shows when they are looked at.")
        asked: list[str] = []
        visitor.page.on("request", lambda one: asked.append(one.url))
        visitor.page.evaluate("look()")
        assert [one for one in asked if "/lab/projects/" in one] == [], "once"
        visitor.page.evaluate(
            "for (let at = 0; at < TOLD + 2; at++) tell(`potentials/train/n${at}`);"
            "document.getElementById('record').textContent = noteOnRecord()"
        )
        visitor.reads("#record", "More is new than a page can read")


def test_what_came_while_a_long_export_went_on_is_read(browser, folder, monkeypatch):
    times = iter([time.time(), time.time() + 7200])
    at = functools.partial(time.strftime, "%Y-%m-%dT%H:%M:%SZ")
    monkeypatch.setattr("molexp_web._export.export._now", lambda: at(time.gmtime(next(times))))
    changes = iter([folder.lab.run("potentials/train/only").annotate])
    export(folder.lab, folder.copy, progress=lambda: [change(tags=["meanwhile"]) for change in changes])
    with visiting(browser, f"{folder.address}#/runs?columns=tags") as visitor:
        visitor.reads("tbody tr", "meanwhile")


@pytest.mark.parametrize("folder", [Starting], indirect=True)
def test_a_server_that_is_busy_for_a_while_is_asked_again(browser, folder):
    Starting.asked = set()
    export(folder.lab, folder.copy)
    folder.lab.run("potentials/train/only").annotate(tags=["later"])
    with visiting(browser, folder.address) as visitor:
        for _ in range(LOOKS):
            visitor.page.evaluate("look()")
            if visitor.page.evaluate("live.docs.get('potentials/train/only')?.tags?.includes('later') ?? false"):
                break
        visitor.reads("#record", "This page reads what is new from the workspace itself")
        assert visitor.page.evaluate("live.docs.get('potentials/train/only').tags") == ["later"], "a journal says so"
        assert Starting.asked == {"workspace.json", "projects/", ".molexp/"}
        assert [one for one in visitor.told if "503" not in one] == []


@pytest.mark.parametrize("folder", [Hiding], indirect=True)
def test_where_journals_are_hidden_small_experiments_are_listed_and_large_ones_are_not(browser, folder):
    export(folder.lab, folder.copy)
    with folder.lab.project("potentials").experiment("train").Run({"lr": 0.5}, id="fresh").start():
        pass
    with visiting(browser, f"{folder.address}#/runs") as visitor:
        visitor.reads(".found", "3 of 3")
        asked: list[str] = []
        visitor.page.on("request", lambda one: asked.append(one.url))
        visitor.page.evaluate(
            "molexp.manifest.experiments.find((one) => one.path === 'solvation/relax').statuses.succeeded = 100000;"
            "live.looks = 6; look()"
        )
        visitor.reads("#record", "Some experiments are too large to be listed")
        listed = [one for one in asked if one.endswith("/runs/")]
        assert listed == [one for one in listed if "/experiments/train/" in one] != []
        assert [one for one in visitor.told if "403" not in one] == []


def test_it_reads_of_runs_what_the_catalog_says(browser, folder):
    lab, old = folder.lab, folder.lab.Project("old").Experiment("e")
    for name in ("again", "anew", "often", "tagged", "deleted"):
        with old.Run(id=name).start() as ctx:
            ctx.set_result("x", 1)
            ctx.metrics.log(step=5, loss=1.0)
    planned = old.Run({"n": 5}, id="planned")
    dropped = old.Run({"n": 6}, id="dropped")
    export(lab, folder.copy)
    with planned.start() as ctx:
        ctx.set_result("y", 1)
    with lab.run("old/e/again").start() as ctx:
        ctx.metrics.log(step=3, loss=9.0)
        ctx.set_result("y", 2)
    with pytest.raises(KeyError), lab.run("old/e/anew").start(fresh=True) as ctx:
        ctx.metrics.log(step=7, loss=2.0)
        ctx.set_result("z", 3)
        raise KeyError(labs.SCRIPT)
    for number in range(24):
        with lab.run("old/e/often").start() as ctx:
            ctx.set_result(f"r{number}", number)
    lab.run("old/e/tagged").annotate(tags=["a", "b"])
    lab.run("old/e/tagged").annotate(untag=["a"])
    lab.run("old/e/deleted").delete()
    for run in (dropped, old.Run(id="dropped-too")):
        run.cancel("not needed")
    new = lab.Project("new").Experiment("α", params={"large": 2**70, "nested": {"a": [1, {"b": 2}]}})
    with new.Run(id="values").start() as ctx:
        ctx.set_result("nan", float("nan"))
        ctx.set_result("__proto__", {"polluted": 2**63 + 1})
        ctx.metrics.log(step=0, loss=float("nan"), accuracy=1, **{f"m{number}": number for number in range(300)})
    for name in ("archived", "shelved", "gone"):
        new.Run(id=name)
    new.run("archived").archive()
    shelved = new.run("shelved")
    for change in (shelved.archive, shelved.delete, shelved.restore):
        change()
    new.run("gone").delete()
    builder = WorkflowBuilder(name="two")

    @builder.task
    def first(ctx: TaskContext) -> None:
        ctx.metrics.log(step=0, loss=1.0)

    @builder.task(depends_on=["first"])
    def second(ctx: TaskContext) -> None:
        ctx.set_result("sum", 2)
        ctx.metrics.log(step=0, loss=3.0)

    spec = builder.build()
    spec.bind_to(new)
    assert spec.execute_sync(run=new.Run(id="workflow")).status == "succeeded"
    with old.Run(id="ranked").start() as ctx:
        ctx.set_result("x", 0)
        ctx.flush()
        said = [{"type": "result", "name": name, "value": rank, "rank": rank} for rank in (2, 1) for name in "xy"]
        lines = "".join(f"{json.dumps(one)}\n" for one in said)
        folder.write("projects/old/experiments/e/runs/ranked/executions/1/w-0123456789abcdef.jsonl", lines.encode())
        _compared(browser, folder)


def _compared(browser, folder):
    lab = folder.lab
    names = ("path", "status", "created_at", "parameters", "results", "tags", "metrics", "attempts")
    rows = {row.path: json.loads(me.to_json(document_of(row))) for row in lab.catalog.runs()}
    with visiting(browser, folder.address) as visitor:
        visitor.reads("#record", "reads what is new")
        found = dict(json.loads(visitor.page.evaluate("look().then(() => JSON.stringify([...live.docs]))")))
        assert found.pop("old/e/deleted")["status"] == "deleted"
        r0 = found.pop("solvation/relax/r0", None)
        assert r0 is None or r0["tags"] == ["good"], "it was edited just before"
        assert found.keys() == rows.keys() - {"solvation/relax/r0", "potentials/train/only"}
        for path, run in found.items():
            row = rows[path]
            told = [{name: one for name, one in attempt.items() if one} for attempt in run["attempts"]]
            assert told == [{name: one for name, one in attempt.items() if one} for attempt in row["attempts"]], path
            if path == "old/e/again":  # of points that replace others, the summaries do not tell the least and greatest
                assert run["metrics"]["loss"].keys() == {"last"}
                row["metrics"]["loss"] = {"last": 9.0}
            same = {name: (run.get(name) or None, row.get(name) or None) for name in names[:-1]}
            assert [name for name, (left, right) in same.items() if left != right] == [], same
        has = "look().then(() => molexp.columns.has('params.large'))"
        assert [visitor.page.evaluate(has) for _ in range(2)] == [True, True], "also when nothing is new"
        waits = "readRun('old/e/tagged', { before: 'queued', exported: %s }).then((run) => run.status)"
        assert [visitor.page.evaluate(waits % number) for number in (0, 1)] == ["succeeded", "queued"]
        visitor.page.evaluate("location.hash = '#/runs/old/e/again'")
        visitor.reads("figcaption", "loss: 9 at step 3")
        visitor.page.evaluate("location.hash = '#/runs/old/e/anew'")
        visitor.reads("figcaption", "loss: 2 at step 7")
        assert visitor.page.evaluate("live.details.get('old/e/anew').shown.curves[0].x") == [7], "it began anew"
        assert visitor.page.evaluate("({}).polluted") is None
        assert visitor.told == []
