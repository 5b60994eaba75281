"""Files that somebody made to lead out of the workspace, to be executed, or to be larger than the memory."""

from __future__ import annotations

import io
import tracemalloc
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

import molexp as me
from molexp_web._api.files import type_of
from molexp_web._export.export import export
from molexp_web._pages.previews import parquet_rows, preview_of
from tests.web import labs
from tests.web.conftest import client_of

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
    assert type_of(forged) in ("application/octet-stream", "text/plain; charset=utf-8")


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
    assert most < 10_000_000, "one value at a time is there as a whole"

    parquet.write_table(pyarrow.table({"a": [*range(400_000)]}), path, use_dictionary=False, compression="none")
    read: list[int] = []

    class Counted(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(len(data := super().read(size) or b""))
            return data

    counted: Any = SimpleNamespace(open=lambda: Counted(path))
    assert len(parquet_rows(counted).rows) == 50
    assert sum(read) < path.stat().st_size / 2 > 1_000_000, "not all of the rows' group"


def test_of_a_log_without_ends_of_lines_only_the_end_is_read(ws, tmp_path):
    with ws.Project("p").Experiment("e").Run(id="r").start() as ctx:
        ctx.log("bar").append("x" * 3_000_000 + "the end")
    page = client_of(ws).get("/w/lab/runs/p/e/r")
    assert page.status_code == 200
    assert len(page.content) < 1_200_000
    assert "the end" in page.text
    export(ws, str(tmp_path / "copy"))
    texts = [path.read_text() for path in (tmp_path / "copy").glob("runs/*.js")]
    assert ["x" * 100 in text and "the end" in text for text in texts] == [True]
    assert sum(map(len, texts)) < 20_000
