"""Access key, secret and token stand nowhere but in requests: in no pickle, message, log, record, index or cache."""

from __future__ import annotations

import io
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import current_process, get_context
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp_s3_store import S3Store
from tests.servers.buckets import Bucket, Server

SECRETS = {"key": "AKIAHIDDENACCESSKEY", "secret": "HiddenSecretAccessKey", "token": "HiddenSessionToken"}


@pytest.fixture
def bucket(moto: Server) -> Bucket:
    return moto.fresh()


@pytest.fixture
def options(bucket: Bucket) -> dict[str, Any]:
    """Take any keys, as moto does."""
    return {**bucket.storage_options, **SECRETS}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that anybody logs."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def found_in(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return [name for name, secret in SECRETS.items() if secret.encode() in data]


def tracked(ws: me.Workspace) -> tuple[me.Run, me.Asset]:
    exp = ws.Project("p").Experiment("e")
    with exp.Run({"a": 1}, id="r").start(capture=True) as ctx:
        asset = ctx.artifact.save("x.json", [1])
        ctx.log("l").append("line")
    with pytest.raises(ZeroDivisionError), exp.Run({"a": 2}, id="failed").start():
        raise ZeroDivisionError
    assert asset is not None
    return exp.run("r"), asset


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


# ------------------------------------------------------------------------------------------------------------ the record


def test_neither_record_nor_index_nor_log_nor_objects_have_any(bucket, options, log, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "cache"))
    ws = me.Workspace(bucket.url, storage_options=options)
    run, asset = tracked(ws)
    assert len(ws.catalog.runs()) == 2
    assert ws.fsck().ok
    run.asset("x.json").local()
    things = [ws, ws._session.store, ws.project("p"), run.experiment, run, asset, run.asset("x.json")]
    for thing in things:
        assert not found_in(pickle.dumps(thing)), thing
        assert not found_in(f"{thing!r} {thing}"), thing
    for key in bucket.raw_keys():
        assert not found_in(bucket.raw_read(key) or b""), key
    files = dict(everything(tmp_path))
    assert any("cache" in name for name in files)
    for name, data in files.items():
        assert not found_in(data), name
    assert not found_in(log.getvalue())


def test_a_process_that_has_them_from_its_environment_records_none(bucket, tmp_path):
    code = f"""
import molexp as me
ws = me.Workspace({bucket.url!r})
with ws.Project("p").Experiment("e").Run({{"a": 1}}, id="r").start(capture=True) as ctx:
    ctx.shell("true")
    print("hello")
assert ws.run("p/e/r").provenance
"""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": SECRETS["key"],
        "AWS_SECRET_ACCESS_KEY": SECRETS["secret"],
        "AWS_SESSION_TOKEN": SECRETS["token"],
        "AWS_ENDPOINT_URL": bucket.server.url,
        "MOLEXP_CACHE_DIR": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    keys = bucket.raw_keys()
    assert any(key.startswith("provenance/") for key in keys)
    for key in keys:
        assert not found_in(bucket.raw_read(key) or b""), key
    for name, data in everything(tmp_path):
        assert not found_in(data), name


# ------------------------------------------------------------------------------------------------------------- messages


def failing(bucket: Bucket, options: dict[str, Any]) -> dict[str, Callable[[], object]]:
    quick = {**options, "retry_timeout": 0.2, "request_timeout": 2.0}
    nowhere = {**quick, "endpoint_url": "http://127.0.0.1:9"}

    def store(url: str = bucket.url, **more: Any) -> S3Store:
        return S3Store.open(url, {**quick, **more})

    return {
        "absent": lambda: store().read("absent"),
        "no server": lambda: S3Store.open(bucket.url, nowhere).read("k"),
        "no server, writing": lambda: S3Store.open(bucket.url, nowhere).create("k", b"1"),
        "no server, leftovers": lambda: list(S3Store.open(bucket.url, nowhere).leftovers(0)),
        "no bucket": lambda: list(store("s3://no-such-bucket/lab").list()),
        "unknown option": lambda: store(regoin="x"),
        "another name": lambda: store(secret_access_key=SECRETS["secret"]),
        "no pair": lambda: S3Store.open(bucket.url, {"secret": SECRETS["secret"]}),
        "a token alone": lambda: S3Store.open(bucket.url, {"token": SECRETS["token"]}),
        "two ways": lambda: store(anon=True),
        "in the URL": lambda: S3Store.open(f"s3://{SECRETS['key']}:{SECRETS['secret']}@bucket/lab", {}),
        "in the endpoint": lambda: store(endpoint_url=f"https://{SECRETS['key']}:{SECRETS['secret']}@host"),
        "no key": lambda: store().read("../x"),
        "no certificates": lambda: store(ca_bundle="/nowhere.pem").read("k"),
        "a path": lambda: S3Store.open(bucket.url, nowhere).path("k").read_bytes(),
    }


CASES = tuple(failing(Bucket(Server("moto", "http://127.0.0.1:9", "", ""), "lab"), {}))


@pytest.mark.parametrize("case", CASES)
def test_no_error_shows_any(bucket, options, log, case, capfd):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it is
        failing(bucket, options)[case]()
    shown = "".join(traceback.format_exception(caught.value))
    assert not found_in(f"{shown} {caught.value!r} {caught.value}")
    try:
        pickled = pickle.dumps(caught.value)
    except (TypeError, AttributeError):  # a stranger's error
        pickled = b""
    assert not found_in(pickled)
    assert not found_in(log.getvalue())
    assert not found_in("".join(capfd.readouterr()))


def test_a_path_that_reads_logs_none(bucket, options, log, tmp_path):
    ws = me.Workspace(bucket.url, storage_options=options)
    _, asset = tracked(ws)
    assert asset.path.read_bytes() == asset.read_bytes()
    assert ws._session.store.leftovers(0) == []
    assert "botocore" in log.getvalue()
    assert not found_in(log.getvalue())


# ------------------------------------------------------------------------------------------------------ other processes


def look(run: me.Run, asset: me.Asset) -> tuple[str, bytes, bytes]:
    """In a process that was spawned, with nothing in its environment."""
    return str(run.status), asset.read_bytes(), asset.path.read_bytes()


@pytest.fixture
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("_nothing_around")
def test_a_spawned_process_has_them(bucket, options):
    run, asset = tracked(me.Workspace(bucket.url, storage_options=options))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(look, run, asset).result() == ("succeeded", asset.read_bytes(), asset.read_bytes())


@pytest.mark.usefixtures("_nothing_around")
def test_a_process_of_somebody_else_has_what_its_own_settings_say(bucket, options, monkeypatch, tmp_path):
    run, asset = tracked(me.Workspace(bucket.url, storage_options={**options, "retry_timeout": 0.5}))
    pickled = pickle.dumps((run, asset))
    monkeypatch.setattr(current_process(), "_config", {**current_process()._config, "authkey": b"another"})  # type: ignore[attr-defined]
    with pytest.raises(me.CredentialsError):
        pickle.loads(pickled)[1].read_bytes()
    lines = [f'{name} = "{options[name]}"\n' for name in ("key", "secret", "token")]
    (tmp_path / "storage.toml").write_text(f'["{bucket.url}"]\n{"".join(lines)}')
    (tmp_path / "storage.toml").chmod(0o600)
    monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(tmp_path))
    other_run, other_asset = pickle.loads(pickled)
    assert look(other_run, other_asset) == ("succeeded", asset.read_bytes(), asset.read_bytes())
