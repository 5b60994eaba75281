"""Every sort of document, damaged in every way: what lists, `show`, new runs, `fsck` and its repair say of it."""

from __future__ import annotations

import json
import os
import time

import attrs
import pytest

import molexp as me

EXP = "projects/metals/experiments/cu"
RUN = f"{EXP}/runs/one"

WAYS = {
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "torn": lambda data: data[: len(data) // 2],
    "junk": lambda data: b"[1]",
    "foreign": lambda data: b'{"hello": 1}',
    "missing": lambda data: None,
    "padded": lambda data: bytes(50) + data.rstrip(b"\n").replace(b"\n{", b"\n" + bytes(50) + b"{") + b"\n" + bytes(50),
}
BROKEN = {"empty", "zeros", "torn", "junk", "foreign"}


@attrs.frozen
class Document:
    """Describe a kind of damage, and what is so then.

    Attributes:
        key: where it lies.
        wrong: a value of a wrong type in it; "" for a file of lines.
        named: how it may be damaged so that `fsck` can tell.
        mended: those of them that the rest of the record knows better.
        told: whether lists of runs, and `show`, are about something that it says.
        blocks: how it may be damaged so that nobody knows what a new run in the experiment is to be made from.
    """

    key: str
    wrong: str = ""
    named: frozenset[str] = frozenset({*BROKEN, "types", "missing"})
    mended: frozenset[str] = frozenset({*BROKEN, "types", "missing"})
    told: bool = False
    blocks: frozenset[str] = frozenset()


SILENT = frozenset({*BROKEN, "types"})  # that it is missing, nothing in the record says
TORN = frozenset({"empty", "zeros", "torn"})

DOCUMENTS = {
    "workspace": Document("workspace.json", '"id": 5', blocks=frozenset({"types", "junk", "foreign", "torn"})),
    "settings": Document("settings/1.json", '"values": 5', SILENT, SILENT),
    "project": Document("projects/metals/project.json", '"type": 5'),
    "experiment": Document(f"{EXP}/experiment.json", '"params": 5'),
    "revision": Document(f"{EXP}/experiment.2.json", '"params": [5]', blocks=frozenset({"junk", "foreign", "types"})),
    "run": Document(f"{RUN}/run.json", '"parameters": 5', told=True),
    "claim": Document(f"{RUN}/executions/1.jsonl", named=frozenset({*BROKEN, "missing"}), mended=frozenset()),
    "end": Document(f"{RUN}/executions/1.end.json", '"results": 5', told=True),
    "edit": Document(f"{RUN}/edits/*.json", '"op": 5', SILENT, TORN, told=True),
    "data": Document(f"{EXP}/data/d/1.json", '"key": 5', SILENT, SILENT),
    "provenance": Document("provenance/*.json", '"type": 5', mended=frozenset()),
}

CELLS = [
    (sort, way)
    for sort, document in DOCUMENTS.items()
    for way in (*WAYS, "types")
    if (document.wrong or way != "types") and not (sort == "provenance" and way == "padded")
]


@pytest.fixture
def damaged(place, tmp_path, request):
    """A workspace with one damaged document, and what was true before."""
    sort, way = request.param
    ws = place.workspace()
    ws.configure(durability="never")
    exp = ws.Project("metals").Experiment("cu", params={"a": 1})
    ws.Project("metals").Experiment("cu", params={"a": 2}, update=True)
    (tmp_path / "d").write_text("data")
    exp.data_assets.import_asset("d", tmp_path / "d")
    newest = ws.project("metals").experiment("cu")
    for run in (
        exp.Run({"b": 1}, id="one"),
        newest.Run({"b": 1}, id="two"),
        ws.Project("metals").Experiment("ag").Run(id="one"),
        ws.Project("gold").Experiment("au").Run(id="one"),
    ):
        with run.start() as ctx:
            ctx.set_result("x", 1)
    exp.run("one").annotate(tags=["good"])
    document = DOCUMENTS[sort]
    pattern, _, suffix = document.key.partition("*")
    key = next(stat.key for stat in place.store.list() if stat.key.startswith(pattern) and stat.key.endswith(suffix))
    data = place.store.read(key)
    name = document.wrong.partition(":")[0].strip('"')
    new = (
        WAYS[way](data)
        if way != "types"
        else json.dumps(json.loads(data) | json.loads(f"{{{document.wrong}}}")).encode()
    )
    assert way != "types" or name in json.loads(data)
    if new is None:
        place.store.delete(key)
    else:
        place.store.write(key, new)
        if "local_path" in place.store.capabilities:
            os.utime(place.folder / key, (then := time.time() - 3600, then))  # nobody is waited for who may fill it
    return document, way, key, place


@pytest.mark.parametrize("damaged", CELLS, indirect=True, ids="-".join)
def test_a_damaged_document(damaged):
    document, way, key, place = damaged
    ws = place.workspace()
    is_end, is_edit = key.endswith("1.end.json"), "/edits/" in key
    # Nothing beside it is blocked.
    assert [project.id for project in ws.projects] == ["gold", "metals"]
    assert [experiment.id for experiment in ws.project("metals").experiments] == ["ag", "cu"]
    for path, parameters in {
        "metals/cu/one": {"a": 1, "b": 1},
        "metals/cu/two": {"a": 2, "b": 1},
        "metals/ag/one": {},
        "gold/au/one": {},
    }.items():
        run = ws.run(path)
        assert (dict(run.parameters), dict(run.results)) == (parameters, {"x": 1})
        if not (is_end and path == "metals/cu/one"):
            assert run.status == "succeeded"

    # Whoever lists what it says, or shows it, is told.
    if (document.key, way) != ("workspace.json", "missing"):
        rows = ws.catalog.runs()
        assert sorted(row.path for row in rows) == ["gold/au/one", "metals/ag/one", "metals/cu/one", "metals/cu/two"]
        is_told = document.told and way in document.named
        assert (key in rows.unreadable) == (is_told or (key == "workspace.json" and way in document.named))
        assert (key in me.describe_run(ws.run("metals/cu/one"))["problems"]) == is_told
        assert {row.path: row.tags for row in rows}["metals/cu/one"] == (
            () if is_edit and way != "padded" else ("good",)
        )

    # A check names it, and nothing else.
    found = {finding.key for finding in place.workspace().fsck().findings}
    payload = {one for one in found if one.endswith("/d") and key.endswith("/data/d/1.json")}
    assert found - payload == ({key} if way in document.named else set())

    # What is mended is as it was.
    repaired = {finding.key: finding.done for finding in place.workspace().fsck(repair=True).findings}
    left = {finding.key for finding in place.workspace().fsck().findings}
    if way in document.mended:
        assert repaired[key], f"{key} could be mended"
        assert left == set()
    elif way in document.named:
        assert left <= {key}
    ws = place.load()
    assert ws.run("metals/cu/one").status == "succeeded"
    if not is_edit:
        assert ws.run("metals/cu/one").tags == {"good"}
    if way in document.named and way in document.mended:
        assert dict(ws.project("metals").experiment("cu").params) == {"a": 2}
        assert ws.project("metals").experiment("cu").data_assets["d"].read_bytes() == b"data"


@pytest.mark.parametrize("damaged", CELLS, indirect=True, ids="-".join)
def test_a_new_run_beside_a_damaged_document(damaged):
    document, way, key, place = damaged
    if document.key == "workspace.json" and way in ("empty", "zeros", "missing"):
        pytest.skip("it is made anew, as a claim that nobody came to fill")
    if way in document.blocks:
        with pytest.raises(me.CorruptRecordError, match=key):
            place.workspace().Project("metals").Experiment("cu").Run({"b": 3})
        return
    run = place.workspace().Project("metals").Experiment("cu").Run({"b": 3})
    with run.start() as ctx:
        ctx.set_result("x", 2)
    assert run.parameters == ({"a": 1, "b": 3} if key.endswith(".2.json") and way != "padded" else {"a": 2, "b": 3})
    assert place.load().run(run.path).results == {"x": 2}
