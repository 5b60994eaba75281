"""Files that somebody made to lead out of the workspace, to be executed, or to be larger than the memory."""

from __future__ import annotations

import io
import tracemalloc
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

import molexp as me
from molexp_web._api import files
from molexp_web._export.export import export
from molexp_web._pages.previews import parquet_rows, preview_of
from molexp_web._science import structure_panel, trajectory_panel
from tests.web import labs
from tests.web.conftest import client_of
from tests.web.test_export import runs_of

ROOT = "/api/v1/workspaces/lab"


@pytest.fixture
def ws(tmp_path) -> me.Workspace:
    return me.Workspace(tmp_path / "lab")


def saved(ws: me.Workspace, name: str, data: Any) -> me.Asset:
    """Return an artifact of a run of its own."""
    with ws.Project("p").Experiment("e").Run({"name": name}).start() as ctx:
        asset = ctx.artifact.save(name, data)
    assert asset is not None
    return asset


def page_of(ws: me.Workspace, asset: me.Asset) -> Any:
    return client_of(ws).get(f"/w/lab/assets/{quote(asset.id, safe='')}")


@pytest.mark.parametrize(
    "name", ["data:text/livescript,a", "data:text/html\r\nset-cookie: a=b,", "data:text/ä,", "a.mjs"]
)
def test_the_name_of_a_file_chooses_no_type_by_which_it_is_executed_or_adds_a_header(name):
    forged: Any = SimpleNamespace(key=f"a/{name}", name=name)
    assert files.type_of(forged) in ("application/octet-stream", "text/plain; charset=utf-8")


def test_data_by_a_link_that_leads_out_of_the_workspace_are_not_sent(ws, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(labs.png())
    asset = ws.data_assets.import_asset("secret.png", secret, action="symlink")
    answer = client_of(ws).get(f"{ROOT}/assets/{quote(asset.id, safe='')}/bytes")
    assert (answer.status_code, secret.read_bytes() in answer.content) == (403, False)
    assert "outside of the workspace" in answer.json()["error"]["message"]
    page = page_of(ws, asset)
    assert page.status_code == 200
    assert "outside of the workspace" in page.text
    assert "<img" not in page.text


def test_json_that_would_be_a_thousand_times_as_long_with_indents_is_cut(ws):
    found = preview_of(saved(ws, "deep.json", b"[" * 400 + b"0," * 100_000 + b"0" + b"]" * 400)).panels
    assert len(found[0].text) == 65_536
    assert "first 65536 letters" in found[0].note


def test_parquet_is_read_by_pages_and_by_values(ws, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    long = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 50, pyarrow.int32()), ["x" * 1_000_000])
    path = tmp_path / "file.parquet"
    parquet.write_table(pyarrow.table({"a": long}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    panel = parquet_rows(saved(ws, "long.parquet", path.read_bytes()))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(panel.rows), len(panel.rows[0][0])) == (50, 201)
    assert most < 30_000_000, "one value at a time is there as a whole"

    parquet.write_table(pyarrow.table({"a": ["x" * 5_000_000]}), path, compression="zstd")
    assert "too long" in preview_of(saved(ws, "longer.parquet", path.read_bytes())).problem
    odd = {"a": ["x", None], "b": [b"\0", b"\1"], "c": [[1], []], "d": [{"e": "f"}, None], "g": [Decimal("1.5"), None]}
    parquet.write_table(pyarrow.table(odd), path)
    assert len(parquet_rows(saved(ws, "odd.parquet", path.read_bytes())).rows) == 2

    parquet.write_table(pyarrow.table({"a": [*range(200_000)]}), path, use_dictionary=False, compression="none")
    read: list[int] = []

    class Counted(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(len(data := super().read(size) or b""))
            return data

    counted: Any = SimpleNamespace(open=lambda: Counted(path))
    assert len(parquet_rows(counted).rows) == 50
    assert sum(read) < path.stat().st_size / 2 > 500_000, "not all of the rows' group"


def test_of_a_log_without_ends_of_lines_only_the_end_is_read(ws, tmp_path):
    with ws.Project("p").Experiment("e").Run(id="r").start() as ctx:
        ctx.log("bar").append("x" * 3_000_000 + "the end")
    page = client_of(ws).get("/w/lab/runs/p/e/r")
    assert page.status_code == 200
    assert len(page.content) < 1_200_000
    assert "the end" in page.text
    export(ws, str(tmp_path / "copy"))
    texts = [path.read_text() for path in (tmp_path / "copy").glob("details/*.js")]
    assert ["x" * 100 in text and "the end" in text for text in texts] == [True]
    assert sum(map(len, texts)) < 20_000


def test_a_key_that_leads_out_of_the_workspace_hides_no_other_file(ws, tmp_path):
    with ws.Project("p").Experiment("e").Run(id="r").start() as ctx:
        ctx.artifact.save("kept.txt", "kept")
        ctx.artifact.save("led.txt", "x")
    tmp_path.joinpath("secret.txt").write_text("moor" * 7)
    for path in tmp_path.joinpath("lab").rglob("executions/*"):
        path.write_text(path.read_text().replace("projects/p/experiments/e/runs/r/artifacts/led.txt", "../secret.txt"))
    browser = client_of(me.Workspace.load(ws.url))
    page = browser.get("/w/lab/runs/p/e/r")
    assert page.status_code == 200
    assert "kept.txt" in page.text
    answer = browser.get(f"{ROOT}/assets/p/e/r%231:artifact:led.txt@1/bytes")
    assert answer.status_code == 400
    assert "moor" not in answer.text


def test_a_copy_has_no_command_lines_folders_or_users_of_attempts(ws, tmp_path):
    me.track_command(ws.Project("p").Experiment("e"), ["sh", "-c", "exit 0", "an-argument"])
    with pytest.raises(RuntimeError), ws.Project("p").Experiment("e").Run().start():
        raise RuntimeError("no space")
    export(ws, str(tmp_path / "copy"))
    copy = tmp_path / "copy"
    runs = runs_of(copy)
    attempts = [attempt for one in runs for attempt in one["attempts"]]
    assert {name for one in attempts for name in one} == {
        "attempt",
        "status",
        "started_at",
        "ended_at",
        "host",
        "error",
    } | {name for name in ("reason",) if any(name in one for one in attempts)}
    assert "an-argument" not in str(runs)
    assert attempts[-1]["error"] == {"type": "RuntimeError", "message": "no space"}


@pytest.mark.parametrize("mark", ["[]", "no JSON", '{"files": 1, "before": []}', "{}"])
def test_a_folder_with_the_mark_of_another_program_is_left_alone(ws, tmp_path, mark):
    place = tmp_path / "site"
    place.mkdir()
    place.joinpath("molexp-export.json").write_text(mark)
    with pytest.raises(ValueError, match="choose another place"):
        export(ws, str(place))
    assert [path.name for path in place.iterdir()] == ["molexp-export.json"]


def test_of_structures_and_trajectories_only_as_much_is_read_as_is_drawn():
    for text in (b"1000000000\n\n" + b"H 0 0 0\n" * 3, b"1\n" + b"x" * (8 << 20), b"9" * (8 << 20)):
        data = io.BytesIO(text)
        forged: Any = SimpleNamespace(open=lambda mode, data=data: io.TextIOWrapper(data))
        with pytest.raises(ValueError, match=r"first frames|invalid literal") as told:
            trajectory_panel(forged)
        assert len(str(told.value)) < 300
    long: Any = SimpleNamespace(open=lambda: io.BytesIO(bytes(17 << 20)), fields=None)
    assert structure_panel(long) is None


def test_to_ask_for_the_headers_of_a_file_reads_none_of_it(ws, monkeypatch):
    asset = saved(ws, "large.txt", "x" * 3_000_000)
    monkeypatch.setattr(files, "_pieces", pytest.fail)
    address = f"{ROOT}/assets/{quote(asset.id, safe='')}/bytes"
    for asked, status, size in (({}, 200, "3000000"), ({"range": "bytes=5-9"}, 206, "5")):
        answer = client_of(ws).head(address, headers=asked)
        assert (answer.status_code, answer.headers["content-length"]) == (status, size)
        assert answer.headers["content-type"].startswith("text/plain")
