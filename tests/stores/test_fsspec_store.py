"""Workspaces behind any URL that fsspec knows are read, and nothing more."""

from __future__ import annotations

import functools
import http.server
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import current_process
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

import molexp as me
from molexp.contracts import Listing
from molexp.plugins import PluginManager, default_manager
from molexp_s3_store import FsspecStore
from tests import warm


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace on files: two runs, an artifact, a log, imported data, and a name that URLs have to quote."""
    folder = tmp_path_factory.mktemp("served") / "lab"
    ws = me.Workspace(folder)
    exp = ws.Project("metals").Experiment("cu", params={"a": 3.6})
    for number in (1, 2):
        with exp.Run({"a": 3.6 + number}, id=f"cu-{number}").start() as ctx:
            ctx.artifact.save("volumes.json", [number, 2, 3])
            ctx.artifact.save("50% of α #1.txt", "quoted")
            ctx.log("relax").append(f"line {number}")
            ctx.set_result("energy", -number)
    source = folder.parent / "set"
    source.mkdir()
    (source / "a.csv").write_text("x,y\n1,2\n")
    ws.data_assets.import_asset("set", source, action="copy")
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(lab: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(lab.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.fixture(scope="module")
def archive(lab: Path) -> Path:
    return Path(shutil.make_archive(str(lab.parent / "lab"), "zip", lab.parent, "lab"))


class Cloud(MemoryFileSystem):  # type: ignore[misc]  # it has no types
    """A driver that a package has registered."""

    protocol = "cloud"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def __init__(self, token: str = "", **options: Any) -> None:
        super().__init__(**options)
        if token and token != "right":
            raise PermissionError("wrong token")

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        found: str = super()._strip_protocol(path.replace("cloud://", "memory://", 1))
        return found


@pytest.fixture(scope="module")
def _cloud(lab: Path) -> Iterator[None]:
    fsspec.register_implementation("cloud", Cloud)
    for file in lab.rglob("*"):
        if file.is_file():
            Cloud().pipe_file(f"/bucket/lab/{file.relative_to(lab).as_posix()}", file.read_bytes())
    yield
    del _registry["cloud"]


@pytest.fixture(params=["http", "local", "zip", "chained", "cloud"])
def url(request: pytest.FixtureRequest, lab: Path) -> tuple[str, dict[str, Any]]:
    match request.param:
        case "http":
            return f"{request.getfixturevalue('server')}/lab", {}
        case "local":
            return f"local://{lab}", {}
        case "zip":
            return "zip://lab", {"fo": str(request.getfixturevalue("archive"))}
        case "chained":
            return f"zip://lab::file://{request.getfixturevalue('archive')}", {}
    request.getfixturevalue("_cloud")
    return "cloud://bucket/lab/", {"token": "right"}


@pytest.fixture
def ws(url: tuple[str, dict[str, Any]]) -> me.Workspace:
    return me.Workspace(url[0], storage_options=url[1], read_only=True)


# -------------------------------------------------------------------------------------------------------------- reading


def test_a_workspace_is_read(ws):
    run = ws.run("metals/cu/cu-1")
    assert (run.status, run.results["energy"], run.parameters["a"]) == ("succeeded", -1, 4.6)
    assert [row.id for row in ws.catalog.runs("results.energy < -1")] == ["cu-2"]
    assert [one.id for one in ws.projects] == ["metals"]
    volumes = run.asset("volumes.json")
    assert volumes.load() == [1, 2, 3]
    assert run.asset("50% of α #1.txt").load() == "quoted"
    assert [line.text for line in me.read_logs(run, "relax")] == ["line 1"]
    assert ws.fsck().ok


def test_an_asset_is_a_stream_a_path_and_a_folder(ws):
    volumes = ws.run("metals/cu/cu-1").asset("volumes.json")
    with volumes.open() as stream:
        whole = stream.read()
        stream.seek(3)
        assert stream.read(2) == whole[3:5]
    assert volumes.path.read_bytes() == whole
    assert volumes.local().read_bytes() == whole
    data = next(iter(ws.catalog.assets(kind="data")))
    folder = ws.asset(data.id).path
    assert (folder / "a.csv").read_text() == "x,y\n1,2\n"


def test_a_store_answers_as_the_files_do(lab, url):
    store, files = FsspecStore.open(*url), me.Workspace(lab)._session.store
    expected = {stat.key: stat.size for stat in files.list()}
    assert {stat.key: stat.size for stat in store.list()} == expected
    assert {stat.key for stat in store.list("projects")} == {key for key in expected if key.startswith("projects/")}
    assert list(store.list("nowhere")) == []
    top, known = store.children(), files.children()
    assert ([stat.key for stat in top.entries], top.folders) == ([stat.key for stat in known.entries], known.folders)
    assert store.children("nowhere") == Listing((), ())
    key = "workspace.json"
    assert store.read(key) == files.read(key)
    assert store.read(key, 3, 4) == files.read(key, 3, 4)
    assert store.read(key, 10_000, 4) == b""
    assert store.stat(key) == next(stat for stat in store.list() if stat.key == key)
    found = store.read_many([key, "absent"])
    assert found[0] == files.read(key)
    assert isinstance(found[1], me.KeyNotFoundError)
    for absent in ("absent", "projects", "projects/absent"):
        with pytest.raises(me.KeyNotFoundError):
            store.stat(absent)
        with pytest.raises(me.KeyNotFoundError):
            store.read(absent)
        with pytest.raises(me.KeyNotFoundError):
            store.open_read(absent)
        assert not store.exists(absent)


def test_what_others_add_is_seen(tmp_path):
    (tmp_path / "a").write_text("1")
    store = FsspecStore.open(f"local://{tmp_path}", {})
    before = store.stat("a")
    assert [stat.key for stat in store.list()] == ["a"]
    (tmp_path / "a").write_text("22")
    (tmp_path / "b").write_text("1")
    assert sorted(stat.key for stat in store.list()) == ["a", "b"]
    assert store.stat("a").version != before.version


def test_links_are_told_and_not_read(tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "outside").write_text("private")
    (tmp_path / "lab" / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "lab" / "b").symlink_to(tmp_path)
    store = FsspecStore.open(f"local://{tmp_path / 'lab'}", {})
    assert {stat.key: stat.special for stat in store.list()} == dict.fromkeys("ab", "symbolic link")
    assert store.children().folders == ()
    for read in (store.read, store.open_read, lambda key: store.get_file(key, tmp_path / "copy")):
        with pytest.raises(me.SpecialFileError, match="is a symbolic link"):
            read("a")


def test_commands_read(lab, archive):
    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "molexp_cli", "-w", f"zip://lab::{archive}", *arguments]
        return warm.run(command, capture_output=True, text=True, check=False)

    done = typed("runs", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert "cu-2" in done.stdout
    refused = typed("exec", "metals/cu", "--", "true")
    assert refused.returncode == 125, refused.stderr
    assert "nothing can be created exclusively" in refused.stderr


# ------------------------------------------------------------------------------------------------------------- refusing


def test_it_is_not_written_to(url):
    with pytest.raises(me.ReadOnlyError, match=r"nothing can be created exclusively.*s3://.*Pass read_only=True"):
        me.Workspace(url[0], storage_options=url[1])
    store = FsspecStore.open(*url)
    for write in (store.write, store.create):
        with pytest.raises(me.ReadOnlyError, match="exclusively"):
            write("a", b"")
    with pytest.raises(me.ReadOnlyError):
        store.delete("workspace.json")
    with pytest.raises(me.ReadOnlyError):
        store.open_write("a")


def test_a_driver_that_is_not_installed_is_named():
    with pytest.raises(me.PluginMissingError, match="gs://bucket/lab cannot be opened: Please install gcsfs"):
        me.Workspace("gs://bucket/lab", read_only=True)


def test_a_scheme_that_nobody_knows_is_an_error_as_before():
    with pytest.raises(me.PluginMissingError, match=r"'memroy'.*Did you mean 'memory'"):
        me.Workspace("memroy://lab", read_only=True)
    with pytest.raises(me.PluginMissingError, match=r"Available: [^*]*$"):
        me.Workspace("nothing://lab", read_only=True)


def test_schemes_that_a_plugin_has_are_that_plugins():
    for scheme, module in (("file", "molexp_fs"), ("s3", "molexp_s3_store"), ("memory", "molexp")):
        found = default_manager().storage_backend(scheme)
        assert found is not FsspecStore
        assert found.__module__.startswith(module)
    assert default_manager().storage_backend("gs") is FsspecStore
    without = PluginManager(environ={"MOLEXP_DISABLE_PLUGINS": "molexp-fs"})
    with pytest.raises(me.PluginLoadError, match="molexp-fs"):
        without.storage_backend("file")


@pytest.mark.parametrize(
    "url", ["ftp://me:secret123@host/lab", "https://me:secret123@host/lab", "https://host/lab?token=secret123"]
)
def test_a_url_with_credentials_is_refused(url):
    with pytest.raises(ValueError, match=r"storage_options|is a folder") as caught:
        FsspecStore.open(url, {})
    assert "secret123" not in str(caught.value) or "?token" in url


def test_a_server_that_is_not_there_is_unavailable():
    store = FsspecStore.open("http://127.0.0.1:9/lab", {})
    with pytest.raises(me.UnavailableError, match="does not answer"):
        store.read("workspace.json")


@pytest.mark.usefixtures("_cloud")
def test_what_the_driver_refuses_is_told_without_secrets():
    store = FsspecStore.open("cloud://bucket/lab", {"token": "wrong-secret"})
    with pytest.raises(me.StorePermissionError, match="access is denied") as caught:
        store.read("workspace.json")
    assert "wrong-secret" not in str(caught.value)


# -------------------------------------------------------------------------------------------------------------- pickles


@pytest.mark.usefixtures("_cloud")
def test_a_pickle_has_the_options_for_processes_of_ours_only(monkeypatch, tmp_path):
    store = FsspecStore.open("cloud://bucket/lab", {"token": "right"})
    pickled = pickle.dumps(store)
    assert b"right" not in pickled
    assert pickle.loads(pickled).path("k").storage_options == {"token": "right"}
    config = {**current_process()._config, "authkey": b"another"}  # type: ignore[attr-defined]
    monkeypatch.setattr(current_process(), "_config", config)
    assert pickle.loads(pickled).path("k").storage_options == {}
    (tmp_path / "storage.toml").write_text('["cloud://bucket"]\ntoken = "right"\n')
    (tmp_path / "storage.toml").chmod(0o600)
    monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(tmp_path))
    assert pickle.loads(pickled).path("k").storage_options == {"token": "right"}
    assert repr(store) == "FsspecStore('cloud://bucket/lab')"
