"""An attempt records which version of which asset it used, as it finds, loads or opens what it did not make."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress

import msgspec
import pytest

import molexp as me
from tests.internals import at

RUN = "projects/metals/experiments/cu/runs/one"
REFERENCE = "metals/cu:data:reference@1"
RELAXED = "metals/cu/other#1:artifact:relaxed.json@1"


@pytest.fixture
def there(exp, tmp_path):
    """An imported asset, and one that another run made."""
    (tmp_path / "reference.json").write_text("[1]")
    exp.data_assets.import_asset("reference", tmp_path / "reference.json")
    with exp.Run(id="other").start() as ctx:
        ctx.artifact.save("relaxed.json", [3.6])


def used(run, attempt=-1):
    return run.execution_history[attempt].get("used", [])


def events(place, attempt=1):
    """The events of uses, in order, wherever they lie."""
    keys = [key for key in place.record() if key.startswith(f"{RUN}/executions/{attempt}.") and key.endswith(".jsonl")]
    lines = [line for key in sorted(keys) for line in place.store.read(key).splitlines() if b'"used"' in line]
    return [msgspec.json.decode(line) for line in lines]


def path_of(asset):
    """The path, where the storage has one."""
    try:
        return asset.path
    except me.UnsupportedOperationError:
        return None


DOORS = {
    "ctx.find_asset": (REFERENCE, lambda ctx, ws, exp: ctx.find_asset("reference")),
    "ctx.asset": (REFERENCE, lambda ctx, ws, exp: ctx.asset("reference", kind="data", version=1)),
    "data_assets, path": (REFERENCE, lambda ctx, ws, exp: path_of(exp.data_assets["reference"])),
    "data_assets, local": (REFERENCE, lambda ctx, ws, exp: exp.data_assets["reference"].local()),
    "data_assets, versions": (REFERENCE, lambda ctx, ws, exp: exp.data_assets.versions("reference")[0].load()),
    "another run, load": (RELAXED, lambda ctx, ws, exp: ws.run("metals/cu/other").asset("relaxed.json").load()),
    "another run, read_bytes": (RELAXED, lambda ctx, ws, exp: exp.run("other").assets[0].read_bytes()),
    "the catalog, open": (RELAXED, lambda ctx, ws, exp: ws.catalog.assets(name="relaxed.json")[0].open("r").close()),
    "ws.asset": (RELAXED, lambda ctx, ws, exp: ws.asset(RELAXED).open().close()),
    "a copy that was pickled": (REFERENCE, lambda ctx, ws, exp: again(exp.data_assets["reference"]).read_bytes()),
    "import_asset": (RELAXED, lambda ctx, ws, exp: exp.data_assets.import_asset("taken", ws.asset(RELAXED))),
}


def again(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("door", DOORS)
def test_whatever_an_attempt_uses_is_on_record_once(place, ws, exp, run, there, door):
    expected, use = DOORS[door]
    with run.start() as ctx:
        assert used(run) == []
        use(ctx, ws, exp)
        use(ctx, ws, exp)
        ctx.flush()
        assert used(run) == [expected], "before there is an end"

    assert used(run) == [expected]
    (event,) = events(place)
    assert (event["type"], event["asset"]) == ("used", expected)
    assert "task" not in event
    said = {name: event[name] for name in ("asset", "at", "by") if name in event}
    assert place.document(f"{RUN}/executions/1.end.json")["used"] == [said]
    assert me.describe_run(run)["execution_history"][0]["used"] == [expected]


def test_what_is_only_looked_at_is_not_used(place, ws, exp, run, there):
    with run.start() as ctx:
        asset = exp.data_assets["reference"]
        assert [asset.name, asset.size, asset.content_hash, asset.describe()]
        assert ws.catalog.assets(name="relaxed.json")[0].kind == "artifact"
        assert exp.run("other").asset("relaxed.json").key
        ctx.set_result("which", asset)
        assert ctx.find_asset("nowhere") is None
        with suppress(me.NotFoundError):
            ctx.artifact.load("nowhere")

    assert used(run) == []
    assert "used" not in place.document(f"{RUN}/executions/1.end.json")
    assert "used" not in run.execution_history[0]


def test_what_the_attempt_made_is_not_used_by_it(place, exp, run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with run.start() as ctx:
        ctx.artifact.save("a.json", [1]).load()
        assert ctx.asset("a.json").load() == ctx.artifact.load("a.json") == [1]
        assert ctx.artifact.latest().read_bytes()
        exp.data_assets.import_asset("mine", tmp_path / "mine.txt")
        assert ctx.asset("mine").read_bytes() == b"mine"

    assert events(place) == []


def test_what_an_earlier_attempt_made_is(run):
    with run.start() as ctx:
        ctx.artifact.save("a.json", [1])
        ctx.checkpoint.save("state", [2])
    with run.start() as ctx:
        assert ctx.artifact.load("a.json") == [1]
        latest = ctx.checkpoint.latest()
        assert ctx.artifact.save("a.json", [3]).load() == [3]

    assert used(run, 0) == []
    assert used(run, 1) == ["metals/cu/one#1:artifact:a.json@1", latest.id]


def test_versions_of_one_name_are_told_apart(exp, run, there, tmp_path):
    (tmp_path / "reference.json").write_text("[2]")
    with run.start() as ctx:
        ctx.asset("reference")
        exp.data_assets.import_asset("reference", tmp_path / "reference.json")
        ctx.asset("reference", version=1)
    exp.data_assets.import_asset("reference", tmp_path / "reference.json")
    with run.start() as ctx:
        ctx.asset("reference")

    assert used(run, 0) == [REFERENCE]
    assert used(run, 1) == ["metals/cu:data:reference@2"]


def test_a_version_that_the_same_attempt_imported_is_its_own(exp, run, there, tmp_path):
    (tmp_path / "reference.json").write_text("[2]")
    with run.start() as ctx:
        exp.data_assets.import_asset("reference", tmp_path / "reference.json")
        assert ctx.asset("reference").version == 2

    assert used(run) == []


def test_outside_of_a_run_and_in_another_workspace_nobody_notes_anything(place, ws, exp, run, there, tmp_path):
    elsewhere = me.Workspace(tmp_path / "elsewhere").Project("p").Experiment("e")
    (tmp_path / "far.txt").write_text("far")
    far = elsewhere.data_assets.import_asset("far", tmp_path / "far.txt")
    before = place.everything()
    assert exp.data_assets["reference"].read_bytes() == b"[1]"
    assert run.asset("reference").read_bytes() == b"[1]"
    assert place.everything() == before

    with run.start():
        assert far.read_bytes() == b"far"
        with elsewhere.Run(id="inner").start():
            assert exp.data_assets["reference"].read_bytes() == b"[1]"
    assert ws.asset(REFERENCE).read_bytes() == b"[1]"

    assert used(run) == []
    assert used(elsewhere.run("inner")) == []


def test_of_two_attempts_each_has_what_is_used_in_its_block(exp, there):
    outer, inner = exp.Run(id="one"), exp.Run(id="two")
    with outer.start():
        with inner.start():
            exp.data_assets["reference"].read_bytes()
        exp.run("other").asset("relaxed.json").load()

    assert used(inner) == [REFERENCE]
    assert used(outer) == [RELAXED]


def test_without_a_block_the_context_notes_what_it_finds(exp, run, there):
    ctx = run.start()
    ctx.asset("reference")
    exp.run("other").asset("relaxed.json").load()
    ctx.finish()

    assert used(run) == [REFERENCE]


def test_through_a_handle_that_is_read_only_it_is_the_same(place, run, there):
    reader = place.load(read_only=True)
    with run.start():
        assert reader.run("metals/cu/other").asset("relaxed.json").load() == [3.6]

    assert used(run) == [RELAXED]


# ------------------------------------------------------------------------------------------------- reading never fails


def test_what_has_ended_reads_on(place, run, there):
    with run.start() as ctx:
        asset = ctx.asset("reference")
        ctx.finish()
        before = place.everything()
        assert asset.read_bytes() == b"[1]"
        assert ctx.asset("reference", version=1).local().read_bytes() == b"[1]"

    assert place.everything() == before


def test_what_was_cancelled_reads_on(ws, run, there):
    with pytest.raises(me.RunCancelledError), run.start() as ctx:
        run.cancel("enough")
        with suppress(KeyboardInterrupt):  # the request interrupts the block
            ctx._attempt.beat()
        assert ctx.cancelled
        assert ctx.asset("reference").read_bytes() == b"[1]"
        assert ws.asset(RELAXED).load() == [3.6]
        ctx.set_result("x", 1)

    assert used(run) == []


def test_what_somebody_else_ended_reads_on(place, ws, run, there):
    with pytest.raises(me.RunSupersededError), run.start() as ctx:
        end = b'{"schema":1,"type":"end","attempt":1,"status":"interrupted","ended_by":{"host":"h2","pid":7}}'
        place.store.create(f"{RUN}/executions/1.end.json", end)
        ctx._attempt.beat()
        with pytest.raises(me.RunSupersededError):
            ctx.set_result("x", 1)
        assert ctx.asset("reference").read_bytes() == b"[1]"
        assert ws.asset(RELAXED).load() == [3.6]

    assert used(run) == []


def test_where_nothing_can_be_written_it_is_read_all_the_same(lab, lab_exp, lab_run, tmp_path, monkeypatch):
    (tmp_path / "reference.json").write_text("[1]")
    lab_exp.data_assets.import_asset("reference", tmp_path / "reference.json")

    def full(*_):
        raise me.StoreError("no space left")

    with lab_run.start() as ctx:
        with monkeypatch.context() as patch:
            at(patch, "an event is written", full, every=True)
            assert ctx.asset("reference").read_bytes() == b"[1]"
        assert used(lab_run) == []
        assert ctx.asset("reference").read_bytes() == b"[1]"

    assert used(lab_run) == [REFERENCE], "the next time there was room"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="about forking")
def test_a_forked_child_reads_and_notes_nothing(script, lab, lab_exp, tmp_path):
    (tmp_path / "reference.json").write_text("[1]")
    lab_exp.data_assets.import_asset("reference", tmp_path / "reference.json")
    done = script(
        """
        import os, threading, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu")
        with exp.Run(id="one").start() as ctx:
            taken, gone = threading.Event(), threading.Event()
            def hold():  # as a thread does that records at the instant of the fork
                with ctx._assets.writer.lock:
                    taken.set()
                    gone.wait()
            threading.Thread(target=hold).start()
            taken.wait()
            if (child := os.fork()) == 0:
                assert ctx.asset("reference").read_bytes() == b"[1]"
                assert exp.data_assets["reference"].load().read_text() == "[1]"
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            gone.set()
        """
    )

    assert done.code == 0, done.err
    assert used(lab.load().run("metals/cu/one")) == []


# ------------------------------------------------------------------------------------------------- what becomes of them


def test_what_a_killed_attempt_used_counts(script, lab, lab_exp, tmp_path):
    (tmp_path / "reference.json").write_text("[1]")
    lab_exp.data_assets.import_asset("reference", tmp_path / "reference.json")
    script(
        """
        import os, signal, molexp as me
        with me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run(id="one").start() as ctx:
            ctx.asset("reference")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    run = lab.load().run("metals/cu/one")

    assert used(run) == [REFERENCE], "from its events"
    assert run.status == "interrupted"
    (said,) = lab.document(f"{RUN}/executions/1.end.json")["used"]
    assert said["asset"] == REFERENCE, "and from the end that we wrote"
    assert used(lab.load().run("metals/cu/one")) == [REFERENCE]


def test_records_that_make_no_sense_harm_nothing(place, run):
    with run.start():
        pass
    place.change(f"{RUN}/executions/1.end.json", used=["x", {"asset": "y", "task": 3, "by": "z"}, {"asset": 4}])
    assert used(place.load().run("metals/cu/one")) == ["y"]

    place.change(f"{RUN}/executions/1.end.json", used={"x": 3})
    assert used(place.load().run("metals/cu/one")) == []


def test_one_use_is_one_append_and_none_costs_nothing(lab, lab_exp, lab_run, tmp_path):
    (tmp_path / "reference.json").write_text("[1]")
    lab_exp.data_assets.import_asset("reference", tmp_path / "reference.json")
    with lab_run.start() as ctx:
        asset = ctx.artifact.save("a.json", [1])
        before = lab.everything()
        assert asset.load() == ctx.asset("a.json").load()
        assert lab.everything() == before
        ctx.asset("reference")
        once = lab.everything()
        ctx.asset("reference").read_bytes()
        assert lab.everything() == once

    changed = {key: data for key, data in once.items() if before.get(key) != data}
    assert list(changed) == [f"{RUN}/executions/1.jsonl"]
    assert changed[f"{RUN}/executions/1.jsonl"].count(b"\n") == before[f"{RUN}/executions/1.jsonl"].count(b"\n") + 1


# ------------------------------------------------------------------------------------------------------ imported assets


def test_an_import_of_an_asset_names_it_by_its_id(place, ws, exp, there, tmp_path):
    made = ws.asset(RELAXED)
    taken = exp.data_assets.import_asset("relaxed", made)

    assert (taken.source_asset, taken.source_key, taken.source) == (RELAXED, made.key, "")
    assert place.load().asset(taken.id).source_asset == RELAXED
    assert exp.data_assets["reference"].source_asset == ""
    (tmp_path / "far.txt").write_text("far")
    far = me.Workspace(tmp_path / "elsewhere").data_assets.import_asset("far", tmp_path / "far.txt")
    foreign = exp.data_assets.import_asset("far", far)
    assert (foreign.source_asset, foreign.source_key, foreign.source) == ("", "", str(far.path))
