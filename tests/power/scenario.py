"""Play programs on a workspace until the power is cut, and check what they were promised afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

import molexp as me
from molexp._hierarchy.session import Session
from molexp._record.deletions import delete_edit_of
from molexp._storage import layout
from molexp.plugins import default_manager
from tests.power.disk import DiskStore, PowerCut

Step = tuple[str, int, int]
"""An operation, and two small numbers that say to what it is done."""


def workspace_on(store: DiskStore) -> me.Workspace:
    workspace = me.Workspace.__new__(me.Workspace)
    workspace._session = Session(store, default_manager(), "lab", False)
    return workspace


@attrs.define
class Promises:
    """Hold what was acknowledged, and so has to survive; of what was being done at the cut, anything may be true."""

    made: bool = False
    projects: set[str] = attrs.field(factory=set)
    params: dict[str, Any] = attrs.field(factory=dict)
    settings: dict[str, Any] = attrs.field(factory=dict)
    runs: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    ends: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    tags: dict[str, set[str]] = attrs.field(factory=dict)
    deleted: set[str] = attrs.field(factory=set)
    data: dict[tuple[str, int], str] = attrs.field(factory=dict)
    doubtful: set[str] = attrs.field(factory=set)


class Scenario:
    """A program, step by step."""

    def __init__(self, store: DiskStore, folder: Path) -> None:
        self.store = store
        self.ws = workspace_on(store)
        self.promises = Promises()
        self.folder = folder
        self._count = 0

    def play(self, steps: list[Step]) -> None:
        """Do all of it, or as much as the power allows."""
        try:
            for what, one, two in steps:
                getattr(self, what)(one, two)
        except PowerCut:
            pass
        except me.StoreError as error:
            if not self.store.disk.dead:
                raise AssertionError(f"{error} without a cut") from error
        except me.MolexpError:
            if not self.store.disk.dead:
                raise
        finally:
            self.store.forget_attempts()

    @contextmanager
    def _doubt(self, what: str) -> Iterator[None]:
        """Until this ends, nobody knows about `what`."""
        self.promises.doubtful.add(what)
        yield
        self.promises.doubtful.discard(what)

    @contextmanager
    def _made_again(self, experiment: me.Experiment) -> Iterator[None]:
        """Until this ends, nobody knows whether runs that were freed are there again, as others of the same ids."""
        freed = {path for path in self.promises.deleted if path.startswith(f"{experiment.path}/")}
        freed -= self.promises.doubtful
        self.promises.doubtful |= freed
        yield
        self.promises.doubtful -= freed

    # ------------------------------------------------------------------------------------------------------------- steps

    def experiment(self, one: int, two: int) -> me.Experiment:
        project = self.ws.Project(f"p{one}")
        self.promises.made = True
        self.promises.projects.add(project.id)
        found = project.Experiment(f"e{two}")
        self.promises.params.setdefault(found.path, dict(found.params))
        return found

    def update(self, one: int, two: int) -> None:
        self.experiment(one, two)
        self._count += 1
        params = {"a": self._count}
        with self._doubt(f"p{one}/e{two}"):
            found = self.ws.project(f"p{one}").Experiment(f"e{two}", params=params, update=True)
            self.promises.params[found.path] = params

    def configure(self, one: int, two: int) -> None:
        with self._doubt("settings"):
            self.ws.configure(run_id_scheme="molexp-1" if two else None)
            self.promises.settings = {"run_id_scheme": "molexp-1"} if two else {}
            self.promises.made = True

    def sweep(self, one: int, two: int) -> None:
        exp = self.experiment(one, two)
        with self._made_again(exp), suppress(me.ConflictError):  # one was deleted, and is not freed
            for run in exp.runs.create_many([{"s": number} for number in range(3)]):
                self._promise_run(run)

    def derive(self, one: int, two: int) -> None:
        exp = self.experiment(one, 0)
        with self._made_again(exp):
            run = self._unless_deleted(lambda: exp.derived_run({"s": two}))
            if run is not None:
                self._track(run)

    def alone(self, one: int, two: int) -> None:
        exp = self.experiment(one, two)
        exp.Run({"s": two})  # the newest of its kind, that nobody starts, is promised with whatever comes next

    def track(self, one: int, two: int) -> None:
        self._track(self.experiment(one, two).Run({"s": two}))

    def again(self, one: int, two: int) -> None:
        for path in sorted(self.promises.ends)[two : two + 1]:
            if path not in self.promises.deleted:
                self._track(self.ws.run(path))

    def tag(self, one: int, two: int) -> None:
        for path in self._promised_runs()[two : two + 1]:
            self._count += 1
            self.ws.run(path).annotate(tags=[f"t{self._count}"])
            self.promises.tags.setdefault(path, set()).add(f"t{self._count}")

    def bring(self, one: int, two: int) -> None:
        self._count += 1
        source = self.folder / "source"
        source.mkdir(exist_ok=True)
        (source / "x.txt").write_text(f"content {self._count}")
        scope = self.ws if not one else self.experiment(one, two).project
        asset = scope.data_assets.import_asset("ref", source if two else source / "x.txt")
        self.promises.made = True
        self.promises.data[asset.scope, asset.version] = f"content {self._count}"

    def delete(self, one: int, two: int) -> None:
        for path in self._promised_runs()[two : two + 1]:
            with self._doubt(path):
                self.ws.run(path).delete()
                self.promises.deleted.add(path)

    def gc(self, one: int, two: int) -> None:
        if self.promises.made:
            self.ws.gc(dry_run=False)

    def compact(self, one: int, two: int) -> None:
        if self.promises.made:
            self.ws.catalog.compact()

    def _promised_runs(self) -> list[str]:
        return sorted(self.promises.runs.keys() - self.promises.deleted)

    def _unless_deleted(self, make: Callable[[], me.Run]) -> me.Run | None:
        try:
            return make()
        except me.ConflictError:  # it was deleted, and is not freed
            return None

    def _promise_run(self, run: me.Run) -> None:
        if run.path in self.promises.deleted:  # it was freed, and is another
            self.promises.deleted.discard(run.path)
            self.promises.ends.pop(run.path, None)
            self.promises.tags.pop(run.path, None)
        self.promises.runs[run.path] = dict(run.parameters)

    def _track(self, run: me.Run) -> None:
        self._count += 1
        number = self._count
        with run.start() as ctx:
            ctx.set_result("x", number)
            ctx.artifact.save("a.txt", f"artifact {number}")
            ctx.log("l").append(f"log {number}")
            ctx.metrics.log(loss=number)
            ctx.checkpoint.save("c.json", {"n": number})
            if number % 3 == 0:
                ctx.checkpoint.save("c.json", {"n": -number})
        self._promise_run(run)
        end = {"x": number, "a": f"artifact {number}", "l": f"log {number}"}
        self.promises.ends.setdefault(run.path, []).append(end)


# ------------------------------------------------------------------------------------------------------- after the cut


class Check:
    """Check that what was promised is there, that what is there can be read, and that what is torn is named and mended."""

    def __init__(self, store: DiskStore, promises: Promises) -> None:
        self.store = store
        self.promises = promises

    def all(self) -> None:
        if not self.promises.made:
            self._may_begin_anew()
            return
        ws = workspace_on(self.store)
        self.promised(ws)
        torn = self.torn()
        named = {finding.key for finding in workspace_on(self.store).fsck().findings}
        assert torn <= named, f"torn, and not named: {torn - named}"
        self.readable(ws)
        done = workspace_on(self.store).fsck(repair=True).findings
        left = {
            key for key in self.torn() if delete_edit_of(self.store, layout.owner_of(key)) is None
        }  # after a restore
        assert not left, f"torn, and not mended: {left}, of {done}"
        self.promised(workspace_on(self.store))
        self.goes_on(workspace_on(self.store))

    def _may_begin_anew(self) -> None:
        try:
            experiment = workspace_on(self.store).Project("p0").Experiment("e0")
        except me.CorruptRecordError:  # what is blank needs nobody, what is there in part does
            workspace_on(self.store).fsck(repair=True)
            experiment = workspace_on(self.store).Project("p0").Experiment("e0")
        with experiment.Run().start() as ctx:
            ctx.set_result("y", 1)
        assert workspace_on(self.store).run(ctx.run.path).status is me.RunStatus.SUCCEEDED

    def promised(self, ws: me.Workspace) -> None:
        mine = self.promises
        for project in mine.projects:
            assert ws.project(project).id == project
        for path, params in mine.params.items():
            if path not in mine.doubtful:
                project, _, name = path.partition("/")
                assert dict(ws.project(project).experiment(name).params) == params, path
        if "settings" not in mine.doubtful:
            assert dict(ws.settings) == mine.settings
        for path, parameters in mine.runs.items():
            if path in mine.doubtful:
                continue
            if path in mine.deleted:
                self._is_gone(ws, path)
            else:
                self._is_whole(ws.run(path), parameters)
        for (scope, version), content in mine.data.items():
            of = ws if not scope else ws.project(scope)
            local = of.data_assets.get("ref", version=version)
            assert local is not None, f"{scope} ref@{version} is gone"
            key = local.key + ("/x.txt" if local.directory else "")
            assert self.store.read(key).decode() == content

    def _is_whole(self, run: me.Run, parameters: dict[str, Any]) -> None:
        assert dict(run.parameters) == parameters, run.path
        ends = self.promises.ends.get(run.path, [])
        history = run.execution_history
        assert len(history) >= len(ends), run.path
        for attempt, end in enumerate(ends, 1):
            assert history[attempt - 1]["status"] == "succeeded", run.path
            names = {asset.name: asset for asset in run.assets if asset.producer and asset.producer.attempt == attempt}
            assert self.store.read(names["a.txt"].key).decode() == end["a"], run.path
            assert end["l"] in self.store.read(names["l"].key).decode(), run.path
            provenance = history[attempt - 1]["provenance"]
            assert provenance is None or json.loads(self.store.read(f"provenance/{provenance}.json"))
        if len(history) == len(ends) and ends:
            assert run.results["x"] == ends[-1]["x"]
        assert set(run.tags) >= self.promises.tags.get(run.path, set()), run.path

    def _is_gone(self, ws: me.Workspace, path: str) -> None:
        assert path not in [row.path for row in ws.catalog.runs()], f"{path} was deleted, and is back"

    def torn(self) -> set[str]:
        """Documents that are no JSON object; what is derived, and payloads, left out."""
        found = set()
        for stat in self.store.list():
            is_document = stat.key.endswith(".json") and not any(
                part in stat.key for part in (".molexp/", "/artifacts/", "/checkpoints/", "/source/")
            )
            if is_document:
                try:
                    assert isinstance(json.loads(self.store.read(stat.key)), dict)
                except (ValueError, AssertionError):
                    found.add(stat.key)
        return found

    def readable(self, ws: me.Workspace) -> None:
        """Each thing can be read, or is one that `fsck` has named: nobody was told that it was made."""
        for project in ws.projects.ids():
            with suppress(me.CorruptRecordError):
                for experiment in ws.project(project).experiments.ids():
                    with suppress(me.CorruptRecordError):
                        for run in ws.project(project).experiment(experiment).runs:
                            with suppress(me.CorruptRecordError, me.NotFoundError):
                                _ = run.status, run.results, run.assets, run.tags

    def goes_on(self, ws: me.Workspace) -> None:
        for project in self.promises.projects:
            experiment = ws.Project(project).Experiment("e0")
            with experiment.Run().start() as ctx:
                ctx.set_result("y", 1)
            assert workspace_on(self.store).run(ctx.run.path).status is me.RunStatus.SUCCEEDED
        ws.catalog.rebuild()
        rows = {row.path for row in ws.catalog.runs()}
        assert {
            path for path in self.promises.ends if path not in self.promises.deleted | self.promises.doubtful
        } <= rows
