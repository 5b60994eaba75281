"""molexp export: rows for other programs, and archives that are workspaces once they are unpacked."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from rocrate.rocrate import ROCrate

import molexp as me
from tests.cli.report_pages import read_page

RUN = "projects/metals/experiments/cu/runs"


@pytest.fixture
def filled(lab):
    """Two runs with files, one of which used data, one that failed, and one of another experiment."""
    Path("ref.csv").write_text("a,1\n")
    Path("unused.bin").write_bytes(bytes(100))
    lab.data_assets.import_asset("reference", Path("ref.csv"), action="copy")
    lab.data_assets.import_asset("unused", Path("unused.bin"), action="copy")
    lab.data_assets.import_asset("linked", Path("ref.csv"), action="symlink")
    exp = lab.Project("metals").Experiment("cu", params={"basis": "SVP"})
    with exp.Run({"a": 3.5}, id="one").start() as ctx:
        ctx.asset("reference").path.read_text()
        ctx.set_result("energy", -1.5)
        ctx.artifact.save("vol ü%.json", [1, 2])
        with ctx.artifact.writing("big.png") as path:
            path.write_bytes(os.urandom(5 << 18))
    with exp.Run({"a": 3.6}, id="Two").start() as ctx:
        ctx.asset("linked").path.read_text()
        ctx.set_result("energy", -1.25)
        ctx.metrics.log(step=0, loss=0.5)
    with pytest.raises(ValueError, match="singular"), exp.Run({"a": 3.7}, id="bad").start():
        raise ValueError("singular cell")
    with lab.Project("metals").Experiment("al").Run(id="other").start():
        pass
    return lab


def names_in(path: str) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def unpacked(path: str) -> me.Workspace:
    with zipfile.ZipFile(path) as archive:
        archive.extractall("unpacked")
    return me.Workspace.load("unpacked")


def test_rows_go_to_standard_output_or_into_a_file(filled, molexp):
    done = molexp("-w", "lab", "export", "--where", "params.a > 3.5")
    rows = [*csv.DictReader(io.StringIO(done.out))]
    assert [(row["path"], row["params.a"], row["results.energy"]) for row in rows] == [
        ("metals/cu/two", "3.6", "-1.25"),
        ("metals/cu/bad", "3.7", ""),
    ]
    told = molexp("-w", "lab", "export", "--where", "params.a > 3.5", "-o", "rows.csv")
    assert (told.code, told.out) == (0, "rows.csv\n")
    assert Path("rows.csv").read_text() == done.out
    assert told.err.startswith("molexp: 2 runs, ")
    for form in ("jsonl", "json"):
        assert molexp("-w", "lab", "export", "one", "Two", "-o", f"rows.{form}").code == 0
        text = Path(f"rows.{form}").read_text()
        found = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
        assert [row["results"] for row in found] == [{"energy": -1.5}, {"energy": -1.25}]
        assert molexp("-w", "lab", "export", "one", "Two", "--format", form).out == text


def test_parquet_has_a_type_for_each_column(filled, molexp):
    import pyarrow.parquet as pq

    answer = molexp("-w", "lab", "export", "-o", "rows.parquet", "--json").json()
    assert (answer["runs"], answer["bytes"]) == (4, Path("rows.parquet").stat().st_size)
    table = pq.read_table("rows.parquet")
    assert table.column("params.a").to_pylist() == [3.5, 3.6, 3.7, None]
    assert str(table.schema.field("created_at").type).startswith("timestamp")


def test_an_archive_is_a_workspace_of_the_chosen_runs_alone(filled, molexp):
    done = molexp("-w", "lab", "export", "metals/cu/one", "-o", "one.zip")
    assert (done.code, done.out) == (0, "one.zip\n")
    assert done.err.startswith("molexp: 1 run, ")
    names = names_in("one.zip")
    assert f"{RUN}/one/artifacts/vol ü%.json" in names
    assert next(name for name in names if name.startswith("data/")) == "data/reference/1.json"
    assert not [name for name in names if "unused" in name or "/al/" in name or "/two/" in name or ".molexp" in name]
    assert len([name for name in names if name.startswith("provenance/")]) == 1

    there = unpacked("one.zip")
    assert [row.path for row in there.catalog.runs()] == ["metals/cu/one"]
    assert there.run("one").results == {"energy": -1.5}
    assert there.run("one").asset("vol ü%.json").load() == [1, 2]
    assert there.data_assets["reference"].path.read_text() == "a,1\n"
    assert there.fsck(read_data=True).ok
    merged = molexp("sync", "unpacked", "merged", "--merge", "--json")
    assert (merged.code, merged.json()["counts"]["runs"]) == (0, 1)
    assert molexp("sync", "unpacked", "lab", "--json").json()["conflicts"] == [], "it is the lab's own"


def test_the_same_runs_make_the_same_bytes(filled, molexp):
    for name in ("a", "b"):
        assert (
            molexp("-w", "lab", "export", "--where", "params.a < 3.6", "--format", "ro-crate", "-o", f"{name}.zip").code
            == 0
        )
    assert Path("a.zip").read_bytes() == Path("b.zip").read_bytes()


def test_a_crate_says_in_words_of_others_what_was_run(filled, molexp):
    licence = "https://spdx.org/licenses/CC-BY-4.0"
    query = 'experiment == "cu" and id != "Two"'
    done = molexp(
        "-w", "lab", "export", "--where", query, "--format", "ro-crate", "-o", "crate.zip", "--license", licence
    )
    assert done.code == 0
    unpacked("crate.zip")
    crate = ROCrate("unpacked")
    assert crate.root_dataset["license"].id == licence
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    actions = {action["name"]: action for action in crate.root_dataset["mentions"]}
    assert {name: action["actionStatus"] for name, action in actions.items()} == {
        "metals/cu/bad": "http://schema.org/FailedActionStatus",
        "metals/cu/one": "http://schema.org/CompletedActionStatus",
    }
    one = actions["metals/cu/one"]
    assert {value["name"]: value["value"] for value in one["object"]} == {"basis": "SVP", "a": 3.5}
    assert one["instrument"].type == "SoftwareApplication"
    assert "singular cell" in actions["metals/cu/bad"]["error"]
    files = {found["name"]: found for found in one["result"] if found.type == "File"}
    assert {"big.png", "vol ü%.json", "run.json"} <= {*files}
    assert files["big.png"]["contentSize"] == str(5 << 18)
    assert files["big.png"]["encodingFormat"] == "image/png"
    for entity in crate.data_entities:
        assert Path(str(entity.source)).exists(), entity.id
    assert [value["value"] for value in one["result"] if value.type == "PropertyValue"] == [-1.5]
    assert read_page("unpacked/ro-crate-preview.html").document["count"] == 2
    assert me.Workspace.load("unpacked").run("one").results == {"energy": -1.5}


def test_links_out_of_the_workspace_are_named_and_not_followed(filled, molexp):
    done = molexp("-w", "lab", "export", "Two", "-o", "two.zip")
    assert done.code == 0
    assert "not followed, because it is a link out of the workspace: data/linked/" in done.err
    assert "data/linked/1.json" in names_in("two.zip")


def test_what_goes_on_or_is_archived_or_deleted_is_left_out_and_named(filled, molexp):
    filled.run("one").archive()
    filled.run("bad").delete()
    with filled.project("metals").experiment("cu").Run(id="now").start():
        done = molexp("-w", "lab", "export", "-o", "all.zip", "--json")
    assert done.code == 1
    assert "archived run left out" in done.err
    assert done.json()["runs"] == 2
    assert [*done.json()["left_out"]] == ["metals/cu/now"]
    names = names_in("all.zip")
    assert f"{RUN}/two/run.json" in names
    assert not [name for name in names if "/one/" in name or "/bad/" in name or "/now/" in name]
    assert molexp("-w", "lab", "export", "one", "-o", "named.zip").code == 0, "it was asked for by name"
    assert molexp("-w", "lab", "export", "metals/cu/bad", "-o", "no.zip").code == 3
    assert not Path("no.zip").exists()


def test_a_file_that_is_not_what_the_record_says_is_packed_and_named(filled, molexp):
    Path(f"lab/{RUN}/one/artifacts/vol ü%.json").write_text("[2, 1]")
    done = molexp("-w", "lab", "export", "one", "-o", "one.zip", "--json")
    assert (done.code, done.json()["mismatches"]) == (1, [f"{RUN}/one/artifacts/vol ü%.json"])


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--format", "zip"], 2, "zip needs a file to be written to."),
        (["one", "--where", "a"], 2, "one of the two"),
        (["--json"], 2, "use --format json"),
        (["--license", "MIT"], 2, "Only an RO-Crate says it."),
        (["-o", "lab"], 2, "is a folder"),
        (["-o", os.devnull, "--overwrite"], 2, "is a device"),
        (["-o", "there.csv"], 4, "add --overwrite"),
        (["--where", "params.a > 99", "-o", "x.zip"], 1, "nothing was exported"),
        (["-o", "nowhere/x.zip"], 4, "no such folder"),
        (["none", "-o", "x.zip"], 3, "none"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(arguments, code, told, filled, molexp):
    Path("there.csv").write_text("mine")
    before = {*os.listdir()}
    done = molexp("-w", "lab", "export", *arguments)
    assert (done.code, told in done.err) == (code, True), done.err
    assert {*os.listdir()} == before
    assert Path("there.csv").read_text() == "mine"


def test_an_export_that_finds_no_room_leaves_what_was_there(filled, molexp):
    resource = pytest.importorskip("resource", reason="the size of files cannot be limited here")
    Path("all.zip").write_text("mine")
    before = {*os.listdir()}
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        done = molexp("-w", "lab", "export", "one", "-o", "all.zip", "--overwrite")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (done.code, done.out, Path("all.zip").read_text()) == (4, "", "mine")
    assert done.err == "molexp: File too large: 'all.zip'\n"
    assert {*os.listdir()} == before
