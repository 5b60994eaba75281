"""Data that lies elsewhere goes in as local files do: by a `UPath`, or a URL."""

from __future__ import annotations

from typing import Any

import pytest
from upath import UPath

import molexp as me
from molexp.errors import NotFoundError, PluginMissingError
from tests.servers.buckets import Bucket


@pytest.fixture
def bucket(moto, tmp_path, monkeypatch) -> Bucket:
    """A bucket that holds ``in/energies.json`` and a folder ``in/frames``, and that ``storage.toml`` knows how to reach."""
    bucket: Bucket = moto.fresh()
    options = "".join(f"{name} = {value!r}\n" for name, value in bucket.storage_options.items())
    (tmp_path / "config").mkdir()
    settings = tmp_path / "config" / "storage.toml"
    settings.touch(0o600)
    settings.write_text(f'["s3://"]\n{options}')
    monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(tmp_path / "config"))
    for key, data in {"energies.json": b"[1, 2]", "frames/1.xyz": b"one", "frames/sub/2.xyz": b"two"}.items():
        bucket.raw_write(f"in/{key}", data)
    return bucket


def fsspec_path(bucket: Bucket, key: str) -> Any:
    """As a program has it that knows nothing of MolExp."""
    options = bucket.storage_options
    return UPath(
        f"{bucket.url}/{key}",
        protocol="s3",
        key=options["key"],
        secret=options["secret"],
        endpoint_url=options["endpoint_url"],
        client_kwargs={"region_name": "us-east-1"},
    )


@pytest.fixture(params=["files", "s3"])
def ws(request, bucket, tmp_path) -> me.Workspace:
    return me.Workspace(str(tmp_path / "lab") if request.param == "files" else f"{bucket.url}/lab")


@pytest.fixture(params=["url", "UPath"])
def source(request, bucket) -> Any:
    """Return what stands for an object, in each way."""
    return (lambda key: f"{bucket.url}/{key}") if request.param == "url" else (lambda key: fsspec_path(bucket, key))


def test_a_file_and_a_folder_are_streamed_in(ws, source, bucket):
    pieces: list[int] = []
    file = ws.data_assets.import_asset("energies", source("in/energies.json"), progress=pieces.append)
    assert (file.read_bytes(), file.size, sum(pieces)) == (b"[1, 2]", 6, 6)
    assert file.source == f"{bucket.url}/in/energies.json"
    folder = ws.data_assets.import_asset("frames", source("in/frames/"))
    assert folder.directory
    assert folder.files == 2
    local = folder.path
    assert (local / "sub" / "2.xyz").read_bytes() == b"two"
    assert ws.data_assets.import_asset("frames", source("in/frames")).version == folder.version, "equal content"


def test_what_is_not_there_is_said(ws, source):
    with pytest.raises(NotFoundError, match=r"in/nothing"):
        ws.data_assets.import_asset("x", source("in/nothing"))
    assert list(ws.data_assets) == []


@pytest.mark.parametrize("action", ["move", "symlink", "hardlink"])
def test_it_can_only_be_copied(ws, source, bucket, action):
    with pytest.raises(ValueError, match=r"action='copy'"):
        ws.data_assets.import_asset("x", source("in/energies.json"), action=action)
    assert bucket.raw_read("in/energies.json") == b"[1, 2]"


def test_the_path_of_an_asset_goes_in_again(ws):
    with ws.Project("p").Experiment("e").Run(id="r").start() as ctx:
        first = ctx.artifact.save("a.json", [1])
        again = ctx.artifact.save("b.json", first.path)
        assert again.load() == [1]
        assert ctx.save("c.json", first.path).load() == [1]
        data = ctx.run.experiment.data_assets.import_asset("again", first.path)
        ctx.set_result("where", first.path)
    assert data.read_bytes() == first.read_bytes()
    assert data.source_key == first.key
    assert ctx.run.results["where"] == first.path


def test_one_that_lies_elsewhere_is_text_in_parameters_and_results(ws, bucket):
    elsewhere = fsspec_path(bucket, "in/energies.json")
    run = ws.Project("p").Experiment("e").Run({"data": elsewhere}, id="r")
    with run.start() as ctx:
        ctx.set_result("data", elsewhere)
        ctx.shell(["echo", elsewhere])
    assert run.parameters["data"] == run.results["data"] == str(elsewhere)
    assert run.logs["shell"].text() == f"{elsewhere}\n"
    assert str(elsewhere) in me.to_json({"data": elsewhere})


def test_a_workspace_opens_by_one(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(tmp_path))  # nobody else says how
    ws = me.Workspace(fsspec_path(bucket, "lab"))
    ws.Project("p")
    assert ws.url == f"{bucket.url}/lab"
    me.sync_workspace(fsspec_path(bucket, "lab"), str(tmp_path / "copy"))
    assert me.Workspace.load(tmp_path / "copy").id == ws.id


def test_file_urls_are_local_files(tmp_path):
    ws = me.Workspace(tmp_path / "lab")
    (tmp_path / "ä b.txt").write_text("x")
    asset = ws.data_assets.import_asset("x", (tmp_path / "ä b.txt").as_uri(), action="move")
    assert asset.read_bytes() == b"x"
    assert not (tmp_path / "ä b.txt").exists()
    assert ws.data_assets.import_asset("y", UPath((tmp_path / "lab" / "workspace.json").as_uri())).size


@pytest.mark.parametrize(
    ("url", "error"), [("s3://bucket", NotFoundError), ("nosuch://place/file", PluginMissingError)]
)
def test_urls_that_name_no_file(tmp_path, url, error):
    with pytest.raises(error):
        me.Workspace(tmp_path / "lab").data_assets.import_asset("x", url)
