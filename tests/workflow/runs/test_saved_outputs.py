"""Objects in the outputs of tasks: the asset kind that names their class saves them, and a resume restores them by it."""

from __future__ import annotations

import signal
import tracemalloc
from pathlib import Path

import pytest

import molexp as me
from molexp.errors import HashMismatchError, InvalidNameError
from molexp.plugins import PluginWarning, default_manager
from molexp.workflow import WorkflowBuilder
from tests.internals import tune
from tests.record.test_sync import counted
from tests.workflow.runs.editing import Script
from tests.workflow.runs.grids import (
    CURRENT,
    Drawn,
    Finer,
    Folder,
    Grid,
    GridKind,
    Lazy,
    LazyFolder,
    Work,
    mapped,
    workflow,
)


@pytest.fixture
def work(place):
    return Work(place)


@pytest.fixture
def here(lab):
    """The same on files alone, for what does not depend on the store."""
    return Work(lab)


def record(work):
    return work.run.asset("execution-state").load()["tasks"]["only"]


def names(run):
    return sorted(asset.name for asset in run.assets if asset.name.startswith("output:"))


SHARED = Grid(b"shared")


@pytest.mark.parametrize(
    "value",
    [
        Grid(b"numbers"),
        Grid(b""),
        Grid(b"large" * (1 << 19)),
        Folder(b"files"),
        b"bytes",
        {"a": [1, ({"$saved": Grid(b"deep")}, 2.5)], "b": SHARED, "c": SHARED},
        (Grid(b"beside much JSON"), ["x" * 10_000]),
        ["$saved", Grid(b"one"), Grid(b"two")],
    ],
    ids=["alone", "empty", "large", "folder", "bytes", "nested", "much", "list"],
)
def test_a_resume_restores_what_a_kind_saved(work, value):
    first = work.execute(value)
    again = work.execute(value, resume=True)

    assert first.tasks["only"].restorable
    assert work.ran == []
    assert again.tasks["only"].reason == "unchanged"
    assert again.outputs["only"] == value
    assert type(again.outputs["only"]) is type(value)
    assert work.execute(value, resume=True).outputs["only"] == value  # from an attempt that took it over itself
    assert work.ran == []


def test_a_task_gets_what_was_restored(here):
    def fails_at_first(ctx):
        return Grid(b"numbers")

    wf = WorkflowBuilder("grids")
    wf.add(fails_at_first, name="only")
    got = []

    def takes(ctx):
        got.append(ctx.inputs)
        return 1 / (len(got) - 1)

    wf.add(takes, name="after", depends_on=["only"])
    wf.build().execute_sync(run=here.run)
    result = wf.build().execute_sync(run=here.run, resume=True)

    assert result.executed == ("after",)
    assert got == [Grid(b"numbers")] * 2


def test_one_object_stays_one(here):
    here.execute({"a": SHARED, "b": [SHARED]})
    found = here.execute(resume=True).outputs["only"]

    assert found["a"] is found["b"][0]
    assert names(here.run) == ["output:only:1"]


def test_each_item_of_amapped_task_is_restored(here):
    here.execute(Grid(b"x"), tasks=mapped)
    result = here.execute(resume=True, tasks=mapped)

    assert here.ran == [], result.tasks["each"].reason
    assert result.outputs["each"] == [Grid(b"x")] * 3
    assert names(here.run) == ["output:each[0]", "output:each[1]", "output:each[2]"]


# ------------------------------------------------------------------------------------------------------------- names


def test_outputs_are_assets_of_the_run_under_names_that_nobody_else_can_have(work):
    def save(ctx):
        ctx[GridKind].save("only", Grid(b"mine"))
        ctx[GridKind].save("outputs/only", Grid(b"mine, too"))
        with pytest.raises(InvalidNameError):
            ctx[GridKind].save("output:only", Grid(b"theirs"))
        return Grid(b"numbers")

    work.execute(save)

    asset = work.run.asset("output:only")
    assert asset.load() == Grid(b"numbers")
    assert (asset.kind, asset.producer.task, asset.tags) == ("grid", "only", frozenset())
    assert work.run.asset("only").load() == Grid(b"mine")
    ws = work.run.experiment.project.workspace
    assert sorted(one.name for one in ws.catalog.assets(kind=GridKind)) == ["only", "output:only", "outputs/only"]
    assert ws.asset(asset.id) == ws.asset(f"{work.run.path}:output:only") == asset
    assert ws.catalog.lineage(f"{work.run.path}:output:only") == ws.catalog.lineage(asset.id)


def test_the_latest_asset_of_a_kind_is_one_that_somebody_saved(here):
    with here.run.start() as ctx:
        ctx[GridKind].save("mine", Grid(b"mine"))
        CURRENT[:] = [here]
        here.value = Grid(b"output")
        workflow().execute_sync(run=ctx)

        assert ctx[GridKind].latest().name == "mine"


def test_a_workflow_that_is_executed_twice_in_one_attempt_has_the_second_output(here):
    with here.run.start() as ctx:
        CURRENT[:] = [here]
        for data in (b"first", b"second"):
            here.value = Grid(data)
            workflow().execute_sync(run=ctx)

    assert here.run.asset("output:only").load() == Grid(b"second")
    assert here.execute(resume=True).outputs["only"] == Grid(b"second")
    assert here.run.experiment.project.workspace.fsck().ok


# ------------------------------------------------------------------------------------- what is not there as it was


def reason(work, value, **options):
    """Resume, and return why the first task was executed again."""
    result = work.execute(value, resume=True, **options)
    assert work.ran[0] == "only"
    found = result.tasks["only"].reason
    assert found.startswith("its output cannot be restored: ")
    return found


@pytest.mark.parametrize("how", ["other", "shorter", "gone"])
@pytest.mark.parametrize("cls", [Grid, Folder])
def test_bytes_that_are_not_those_that_were_saved_are_not_restored(here, lab, cls, how):
    here.execute(cls(b"numbers"))
    key = here.run.asset("output:only").key
    path = Path(lab.url) / (key if cls is Grid else f"{key}/all")
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"NUMBERS"[: 7 if how == "other" else 3])

    assert reason(here, cls(b"numbers"))
    assert here.execute(resume=True).outputs["only"] == cls(b"numbers")


def test_a_kind_that_is_not_installed_any_more_is_told_once_and_the_task_is_executed(lab, here):
    here.execute(Grid(b"x"), tasks=mapped)
    without = Work(lab, plugins=[])

    with pytest.warns(PluginWarning, match=r"'each\[0\]', and of others like it, .*'grid' is not installed") as told:
        result = without.execute(Grid(b"x"), resume=True, tasks=mapped)

    assert len(told) == 1
    assert without.ran == ["each"] * 3
    assert "'grid' is not installed" in result.tasks["each"].reason
    assert result.tasks["numbers"].reused


def test_a_kind_that_gives_back_another_class_is_not_believed(here):
    here.execute(Grid(b"other"))

    assert "gives back tests.workflow.runs.grids.Finer" in reason(here, Grid(b"other"))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Finer(b"x"), "output is of type tests.workflow.runs.grids.Finer, which JSON does not give back"),
        ([Grid(b"x"), {1}], r"output[1] is of type set"),
        (bytearray(b"x"), "output is of type bytearray"),
        (Drawn(b"x"), "tests.workflow.runs.grids.Drawn, and the kind 'drawing' does not give this one back as it was"),
        ([Grid(b"x"), Grid(b"unsavable")], "the kind 'grid' cannot save what it has of type"),
        (Grid(b"no mode"), "OSError: cannot write mode F as PNG"),
        (Grid(b"no picture"), "FileNotFoundError: [Errno 2] no such font"),
        ([Grid(b"x") for _ in range(65)], "more than 64 objects"),
    ],
    ids=["subclass", "set", "bytearray", "drawn", "unsavable", "mode", "picture", "many"],
)
def test_what_no_kind_gives_back_is_computed_again_and_says_why(here, value, why):
    result = here.execute(value)

    assert result.tasks["only"].restorable is False
    assert why in record(here)["not_restorable"]
    assert why in reason(here, value)
    assert here.run.experiment.project.workspace.fsck().ok


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Grid(bytes(1 << 10)), 1),
        (Grid(bytes(1025)), 0),
        (Folder(bytes(1025)), 0),
        ([Grid(bytes(1000)), Folder(bytes(24))], 2),
        ([Grid(bytes(1000)), Folder(bytes(25))], 1),
        ([Grid(bytes(10)), Folder(b"x", nbytes=1025)], 0),
    ],
    ids=["as large as may be", "larger", "folder", "together", "larger together", "as it says itself"],
)
def test_large_objects_are_not_kept_unless_somebody_asks(here, monkeypatch, value, kept):
    tune(monkeypatch, "bytes of objects in an output", 1 << 10)
    large = kept < len(value if isinstance(value, list) else [value])
    here.execute(value)

    assert len(names(here.run)) == kept
    assert ("more than 0.000976562 MiB" in record(here).get("not_restorable", "")) is large
    if large:
        assert "save them with ctx.save(...), and return the assets" in reason(here, value)
    assert here.run.experiment.project.workspace.fsck().ok


def test_a_full_disk_ends_the_workflow(here):
    with pytest.raises(OSError, match="no space left"):
        here.execute(Grid(b"full"))


def test_a_kind_that_cannot_tell_whether_it_restores_is_named_and_not_believed(here):
    with pytest.warns(PluginWarning, match=r"The asset kind 'drawing' .* restores\(\) raised RuntimeError: no answer"):
        result = here.execute(Drawn(b"raise"))

    assert result.tasks["only"].restorable is False
    assert not names(here.run)


def test_an_older_version_does_not_see_what_it_cannot_restore(here):
    """It looks for ``output`` and ``saved``, and executes a task that has neither."""
    here.execute(Grid(b"x"))

    assert not {"output", "saved", "not_restorable"} & record(here).keys()


def test_what_depends_on_an_output_is_reused_if_that_is_the_same(here):
    here.execute(Grid(b"x"))
    here.run.asset("output:only").path.unlink()

    assert here.execute(Grid(b"x"), resume=True).executed == ("only",)
    here.run.asset("output:only").path.unlink()
    assert here.execute(Grid(b"y"), resume=True).executed == ("only", "after")


# ---------------------------------------------------------------------------------------------- what it costs, and kills


def test_saving_and_restoring_keep_no_second_copy_in_memory(here):
    size = 48 << 20
    large = Grid(bytes(size))
    tracemalloc.start()
    here.execute(large)
    saving = _peak()
    del large, here.value
    tracemalloc.start()
    result = here.execute(resume=True)
    restoring = _peak()

    assert len(result.outputs["only"].data) == size
    assert saving < 0.2 * size
    assert restoring < 1.2 * size


@pytest.mark.parametrize("cls", [Lazy, LazyFolder])
def test_what_is_read_piece_by_piece_is_compared_once_and_again_after_it_changed(here, lab, monkeypatch, cls):
    read = counted(monkeypatch, ["open_read"], default_manager().storage_backend("file"))
    here.execute(cls(b"numbers"))
    key = here.run.asset("output:only").key
    key = key if cls is Lazy else f"{key}/all"
    read.clear()
    result = here.execute(resume=True)
    found = result.outputs["only"]

    assert result.tasks["only"].reason == "unchanged"
    assert [found.data() for _ in range(3)] == [b"numbers"] * 3
    assert read[f"open_read {key}"] == 1
    (Path(lab.url) / key).write_bytes(b"NUMBERS")
    with pytest.raises(HashMismatchError):
        found.data()


def _peak():
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX")
@pytest.mark.parametrize("when", ["before", "within"])
def test_after_a_kill_between_the_asset_and_the_record_of_the_task_it_is_executed_again(tmp_path, when):
    """The second object of an output kills the process; the first one is on record by then."""
    script = Script(tmp_path, KILLING)
    process = script.start(KILL=when)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    run = me.Workspace.load(script.lab).run("metals/cu/one")
    assert names(run) == ["output:one", "output:two:1"]

    again = script.execute()

    assert again["done"] == ["two"]
    assert again["reasons"] == {"one": "unchanged", "two": "it was interrupted before"}
    assert again["outputs"]["two"] == "[b'first', b'second']"
    assert script.execute()["done"] == []


KILLING = """
from molexp.contracts import AssetKind, NoFields
from molexp.hookspecs import hookimpl

class Grid:
    def __init__(self, data): self.data = data
    def __repr__(self): return repr(self.data)

class GridKind(AssetKind[Grid, NoFields]):
    name, types = "grid", ("__main__.Grid",)

    def save(self, obj, sink):
        kill = os.environ.get("KILL") if obj.data == b"second" else ""
        if kill == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        with sink.open() as stream:
            stream.write(obj.data)
            if kill == "within":
                stream.write(bytes(2 << 20))
                os.kill(os.getpid(), signal.SIGKILL)
        return NoFields()

    def load(self, source):
        with source.open() as stream:
            return Grid(stream.read())

class Plugin:
    @hookimpl
    def molexp_register_asset_kinds(self): return [GridKind]

wf = WorkflowBuilder("killing")

@wf.task
def one(ctx):
    did("one")
    return Grid(b"one")

@wf.task(depends_on=[one])
def two(ctx):
    did("two")
    return [Grid(b"first"), Grid(b"second")]

from functools import partial
me.Workspace = partial(me.Workspace, plugins=me.PluginManager(extra=[Plugin()]))
"""
