"""The power of a sync's destination is cut: no end is there before what it names, and the next sync brings the rest."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import pytest

import molexp as me
from molexp._record.attempts import named_in_end
from molexp._storage import layout
from molexp._storage.hashing import hash_of
from molexp._values.documents import decode_object
from tests.model.mutants import Change, broken
from tests.power.disk import DiskStore, PowerCut
from tests.power.scenario import workspace_on

OPERATIONS = 260  # more than a sync of what is made here takes
_names = itertools.count()

BROKEN = {
    "an end is brought before what it names is on the disk": Change(
        "molexp._sync.runs:sync_runs",
        (("    copier.flush()  # before the ends that name it, which are flushed with what comes next\n", ""),),
    ),
    "a record of data is brought before the data is on the disk": Change(
        "molexp._sync.scopes:ScopeSync._version",
        (("        copier.flush()  # before the record that names it\n", ""),),
    ),
    "a sync returns before all that it brought is on the disk": Change(
        "molexp._sync.sync:Pair.bring", (("            copier.flush()\n", "            pass\n"),)
    ),
    "what a power cut left of a file is taken for another file": Change(
        "molexp._sync.copying:Copier._bring", (("if begun or replace:", "if replace:"),)
    ),
    "what a power cut left of a claim is taken for another attempt": Change(
        "molexp._sync.attempts:Attempt._may_reserve", (("return torn and", "return False and"),)
    ),
    "what a power cut left of an end is taken for another end": Change(
        "molexp._sync.attempts:Attempt._against_end", (("if not is_torn(their_end):", "if True:"),)
    ),
    "what a power cut left of a definition is taken for another run": Change(
        "molexp._sync.runs:RunSync._is_torn", (("isinstance(error, CorruptRecordError) and", "False and"),)
    ),
    "what a power cut left of an edit is taken for another edit": Change(
        "molexp._sync.edits:place_edit",
        (("if is_torn(found := settled(store, at)):", "found = store.read(at)\n            if False:"),),
    ),
}


def fill(ws: me.Workspace, folder, stage: int) -> None:
    exp = ws.Project("p").Experiment("e", params={"a": 1})
    (folder / "x.txt").write_text(f"data {stage}")
    exp.data_assets.import_asset("ref", folder / "x.txt")
    for name in ("one", "two")[: stage + 1]:
        with exp.Run({"name": name}, id=name).start() as ctx:
            ctx.set_result("stage", stage)
            ctx.artifact.save("a.json", {"stage": stage, "text": "x" * 100})
            ctx.log("l").append(f"stage {stage}")
    exp.run("one").annotate(tags=[f"t{stage}"])


def record(ws: me.Workspace) -> tuple[dict[str, bytes], list[Any]]:
    """Return the files, and what they say of the runs: ``run.json`` repeats that, as of when it was written."""
    store = ws._session.store
    keys = [entry.key for entry in store.list() if not entry.key.startswith(f"{layout.DERIVED}/")]
    files = {key: store.read(key) for key in keys if not key.endswith("/run.json")}
    for key in [key for key in files if key.endswith(".json")]:
        files[key] = files[key].removesuffix(b"\n")  # a cut may take that alone: the document is whole
    return files, [run.to_dict() for run in ws.project("p").experiment("e").runs]


def differences(one: me.Workspace, other: me.Workspace) -> dict[str, Any]:
    """Return what is not the same in both, by its name."""
    (files, runs), (others, other_runs) = record(one), record(other)
    found: dict[str, Any] = {
        key: (files.get(key), others.get(key))
        for key in files.keys() | others.keys()
        if files.get(key) != others.get(key)
    }
    return found if runs == other_runs else {**found, "runs": (runs, other_runs)}


def check_order(store: DiskStore) -> None:
    """Assert that whatever an end or a record of data names is there, as it says."""
    for entry in store.list():
        data = store.read(entry.key)
        if layout.is_end(entry.key):
            folder, _, _ = entry.key.partition("/executions/")
            try:
                named = named_in_end(decode_object(data, entry.key), folder)
            except me.CorruptRecordError:
                continue
        elif "/data/" in entry.key and entry.key.endswith(".json"):
            try:
                document = decode_object(data, entry.key)
            except me.CorruptRecordError:
                continue
            named = {document["key"]: document["content_hash"]}
        else:
            continue
        for key, recorded in named.items():
            if recorded:
                assert store.exists(key), f"{entry.key} names {key}, which is not there"
                assert hash_of(store, key) == recorded, f"{entry.key} names {key}, which is another one"


def cut(folder, left: int, seed: int, *, older: bool) -> bool:
    """Cut a sync after so many operations, look at what is there, and sync again; tells whether the first one was over."""
    source = workspace_on(DiskStore(f"source-{next(_names)}"))
    store = DiskStore(f"copy-{next(_names)}")
    fill(source, folder, 0)
    if older:
        assert me.sync_workspace(source, workspace_on(store)).ok
    fill(source, folder, 1)
    store.disk.left = left
    done = False
    try:
        report = me.sync_workspace(source, workspace_on(store))
    except (PowerCut, me.StoreError):
        if not store.disk.dead:
            raise
    else:
        done = True
        assert report.ok, report
    found = store.after_a_cut(f"found-{next(_names)}", Random(seed))
    if done:
        assert not differences(workspace_on(found), source)
    check_order(found)
    if found.exists(layout.WORKSPACE) and not workspace_on(found)._session.workspace.id:
        return False  # making a workspace is no sync
    report = me.sync_workspace(source, workspace_on(found))
    assert report.ok, report
    assert not differences(workspace_on(found), source)
    findings = workspace_on(found).fsck().findings
    assert all(one.key.startswith(f"{layout.DERIVED}/") for one in findings), findings
    return done


def all_cuts(folder, seeds: int, step: int) -> None:
    for older, number in itertools.product((False, True), range(seeds)):
        for left in range(number % step, OPERATIONS, step):
            if cut(folder, left, 1000 * number + left, older=older):
                break
        else:
            pytest.fail(f"{OPERATIONS} operations are too few")


@pytest.mark.parametrize("older", [False, True])
def test_a_sync_is_cut_at_every_operation(tmp_path, older):
    assert any(cut(tmp_path, left, left, older=older) for left in range(OPERATIONS))


@pytest.mark.parametrize("seeds", [pytest.param(6, marks=pytest.mark.soak), pytest.param(60, marks=pytest.mark.long)])
def test_a_sync_is_cut_many_times(tmp_path, seeds):
    all_cuts(tmp_path, seeds, 1)


@pytest.mark.soak
@pytest.mark.parametrize("name", BROKEN)
def test_the_cuts_find_that(tmp_path, name):
    with broken(BROKEN[name]), pytest.raises((AssertionError, me.MolexpError)):
        all_cuts(tmp_path, 20, 1)
