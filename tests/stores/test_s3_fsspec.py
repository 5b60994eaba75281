"""Assets on S3 are opened by other libraries through `asset.path`, with what the workspace was opened with."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import traceback
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import molexp as me
from molexp.contracts import Store
from molexp.workflow import TaskContext, WorkflowBuilder
from molexp_s3_store import S3Store
from tests.servers.buckets import Bucket, Server

if TYPE_CHECKING:
    import pandas as pd


@pytest.fixture
def bucket(moto: Server) -> Bucket:
    return moto.fresh()


@pytest.fixture
def ws(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> me.Workspace:
    """A workspace whose access stands in its options only."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return me.Workspace(bucket.url, storage_options=bucket.storage_options)


def imported(ws: me.Workspace, name: str, source: Path) -> me.DataAsset:
    return ws.data_assets.import_asset(name, source, action="copy")


def upath(asset: me.Asset) -> Any:
    """Its path; to type checkers every asset has one of `pathlib`."""
    return asset.path


@pytest.fixture
def frame() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"step": [1, 2, 3], "energy": [-1.0, -1.5, -1.75]})


# ------------------------------------------------------------------------------------------------------------ libraries


def test_a_path_reads_as_a_path_does(ws, bucket):
    with ws.Project("p").Experiment("e").Run({"a": 1}).start() as ctx:
        asset = ctx.artifact.save("volumes.json", [1, 2, 3])
    assert asset is not None
    assert str(asset.path) == f"{bucket.url}/{asset.key}"
    assert asset.path.name == "volumes.json"
    assert asset.path.exists()
    assert asset.path.read_bytes() == asset.read_bytes() == bucket.raw_read(asset.key)
    with asset.path.open("rb") as stream:
        stream.seek(1)
        assert stream.read(1) == asset.read_bytes()[1:2]
    assert [one.name for one in asset.path.parent.iterdir()] == ["volumes.json"]


def test_pandas_reads_csv_and_parquet(ws, frame, tmp_path):
    import pandas as pd

    frame.to_csv(tmp_path / "scan.csv", index=False)
    frame.to_parquet(tmp_path / "scan.parquet")
    csv, parquet = (upath(imported(ws, f"scan-{kind}", tmp_path / f"scan.{kind}")) for kind in ("csv", "parquet"))
    pd.testing.assert_frame_equal(pd.read_csv(str(csv), storage_options=csv.storage_options), frame)
    pd.testing.assert_frame_equal(pd.read_parquet(str(parquet), storage_options=parquet.storage_options), frame)
    with csv.open() as stream:
        pd.testing.assert_frame_equal(pd.read_csv(stream), frame)


def test_dask_reads_by_names_that_do_not_change(ws, frame, tmp_path):
    """Dask names what it computes by what it is computed from, and refuses what has another name each time."""
    import dask.dataframe
    import pandas as pd
    from dask.tokenize import tokenize

    frame.to_parquet(tmp_path / "scan.parquet")
    asset = imported(ws, "scan", tmp_path / "scan.parquet")
    path = upath(asset)
    for thing in (path, dict(path.storage_options), path.storage_options["session"], asset, ws, ws._session.store):
        assert tokenize(thing, ensure_deterministic=True) == tokenize(thing, ensure_deterministic=True)
    assert tokenize(path) == tokenize(asset.path)
    found = dask.dataframe.read_parquet(str(path), storage_options=dict(path.storage_options))
    pd.testing.assert_frame_equal(found.compute(scheduler="synchronous"), frame, check_dtype=False)


@pytest.mark.usefixtures("_nothing_around")
def test_another_key_is_another_name_to_dask():
    from dask.tokenize import tokenize

    one, other = (
        S3Store.open("s3://bucket/lab", {"key": "mykey", "secret": secret}).path("k") for secret in ("a", "b")
    )
    assert tokenize(one, ensure_deterministic=True) != tokenize(other, ensure_deterministic=True)


def test_pyarrow_reads_through_the_file_system(ws, frame, tmp_path):
    import pyarrow.parquet

    frame.to_parquet(tmp_path / "scan.parquet")
    path = upath(imported(ws, "scan", tmp_path / "scan.parquet"))
    assert pyarrow.parquet.read_table(path.path, filesystem=path.fs)["step"].to_pylist() == [1, 2, 3]


def test_zarr_and_xarray_read_a_folder(ws, tmp_path):
    import xarray
    import zarr

    data = xarray.Dataset({"energy": ("step", np.arange(5.0))})
    data.to_zarr(tmp_path / "scan.zarr", consolidated=False)
    path = upath(imported(ws, "scan", tmp_path / "scan.zarr"))
    assert (path / "energy").is_dir()
    array: Any = zarr.open_array(str(path / "energy"), mode="r", storage_options=dict(path.storage_options))
    assert array[:].tolist() == [0, 1, 2, 3, 4]
    found = xarray.open_zarr(str(path), storage_options=dict(path.storage_options), consolidated=False)
    assert found["energy"].values.tolist() == [0, 1, 2, 3, 4]


def test_a_listing_sees_what_others_added(ws, bucket, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_text("a")
    path = upath(imported(ws, "set", tmp_path / "set"))
    assert [one.name for one in path.iterdir()] == ["a"]
    bucket.raw_write(f"{str(path).removeprefix(bucket.url + '/')}/b", b"b")
    assert sorted(one.name for one in path.iterdir()) == ["a", "b"]


def test_a_read_only_workspace_has_paths_too(ws, bucket, frame, tmp_path):
    frame.to_csv(tmp_path / "scan.csv", index=False)
    asset = imported(ws, "scan", tmp_path / "scan.csv")
    again = me.Workspace(bucket.url, storage_options=bucket.storage_options, read_only=True)
    assert again.asset(asset.id).path.read_bytes() == asset.read_bytes()


def test_a_stored_path_comes_back_as_one_where_the_workspace_lies_now(ws, bucket, tmp_path):
    with me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run({"a": 1}, id="r").start() as ctx:
        saved = ctx.artifact.save("x.txt", "x")
        assert saved is not None
        ctx.set_result("where", saved.path)
    for file in (tmp_path / "lab").rglob("*"):
        if file.is_file():
            bucket.raw_write(file.relative_to(tmp_path / "lab").as_posix(), file.read_bytes())
    assert ws.run("p/e/r").results["where"].read_text() == "x"


def test_a_path_is_stored_as_a_reference(ws, bucket):
    with ws.Project("p").Experiment("e").Run({"a": 1}, id="r").start() as ctx:
        saved = ctx.artifact.save("x.txt", "x")
        assert saved is not None
        ctx.set_result("where", saved.path)
        ctx.set_result("elsewhere", saved.path.parent.parent.parent / ".." / "y")
    assert b'"$key"' in (bucket.raw_read("projects/p/experiments/e/runs/r/executions/1.end.json") or b"")
    again = me.Workspace(bucket.url, storage_options=bucket.storage_options).run("p/e/r")
    assert again.results["where"].read_text() == "x"


def test_a_task_that_returned_a_path_is_not_executed_again(ws, monkeypatch):
    wf = WorkflowBuilder(name="w")

    @wf.task
    def save(ctx: TaskContext) -> Any:
        asset = ctx.artifact.save("x.txt", "x")
        return asset and asset.path

    @wf.task(depends_on=[save])
    def load(ctx: TaskContext) -> str:
        if "ONCE_MORE" not in os.environ:
            raise ValueError("once")
        return str(ctx.inputs.read_text())

    run = ws.Project("p").Experiment("e").Run({"a": 1}, id="r")
    assert wf.build().execute_sync(run=run).status == "failed"
    monkeypatch.setenv("ONCE_MORE", "1")
    again = wf.build().execute_sync(run=run, resume=True)
    assert again.outputs["load"] == "x"
    assert list(again.executed) == ["load"]


# ------------------------------------------------------------------------------------------------------- configuration


def credentials_of(options: Any) -> Any:
    return asyncio.run(options["session"].get_credentials())


def options_of(**given: Any) -> dict[str, Any]:
    return dict(S3Store.open("s3://bucket/lab", given).path("k").storage_options)


@pytest.fixture
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "config").write_text("[profile lab]\nregion = eu-west-1\n")
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = labkey\naws_secret_access_key = labsecret\n")


EMPTY = (
    "AWS_CA_BUNDLE",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SESSION_TOKEN",
)


@pytest.mark.usefixtures("_nothing_around")
def test_a_path_has_the_configuration_of_the_store(tmp_path):
    found = options_of(
        endpoint_url="https://s3.example.org",
        region="eu-central-1",
        ca_bundle=str(tmp_path / "ca.pem"),
        requester_pays=True,
        server_side_encryption="aws:kms",
        kms_key_id="k",
        anonymous=True,
    )
    assert found["anon"] is True
    assert "session" not in found
    assert found["endpoint_url"] == "https://s3.example.org"
    assert found["client_kwargs"] == {"region_name": "eu-central-1", "verify": str(tmp_path / "ca.pem")}
    assert found["config_kwargs"]["s3"] == {"addressing_style": "path"}
    assert found["requester_pays"] is True
    assert found["s3_additional_kwargs"] == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}
    assert found["use_listings_cache"] is False
    assert options_of(anonymous=True, addressing_style="virtual")["config_kwargs"]["s3"] == {
        "addressing_style": "virtual"
    }


@pytest.mark.usefixtures("_nothing_around")
def test_a_path_has_the_credentials_of_the_store(monkeypatch):
    given = credentials_of(options_of(key="mykey", secret="mysecret", token="mytoken"))
    assert (given.access_key, given.secret_key, given.token) == ("mykey", "mysecret", "mytoken")
    profile = options_of(profile="lab")
    assert credentials_of(profile).secret_key == "labsecret"
    assert profile["client_kwargs"]["region_name"] == "eu-west-1"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "envkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "envsecret")
    assert credentials_of(options_of()).secret_key == "envsecret"


def test_a_variable_that_is_empty_says_nothing(ws, tmp_path, monkeypatch):
    """To botocore an empty AWS_PROFILE is a profile, and an empty AWS_CA_BUNDLE a wish to verify nothing."""
    (tmp_path / "x.txt").write_text("x")
    asset = imported(ws, "x", tmp_path / "x.txt")
    for name in EMPTY:
        monkeypatch.setenv(name, "")
    assert asset.path.read_text() == "x"
    assert options_of(anonymous=True)["client_kwargs"]["verify"] is True


@pytest.mark.usefixtures("_nothing_around")
def test_an_empty_profile_does_not_hide_the_one_that_is_named(monkeypatch, tmp_path):
    """Its keys come from a program, which only botocore asks, and to that the other variable counts more."""
    said = '{"Version": 1, "AccessKeyId": "made", "SecretAccessKey": "anew"}'
    (tmp_path / "config").write_text(f"[profile lab]\ncredential_process = echo '{said}'\n")
    (tmp_path / "credentials").unlink()
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert credentials_of(options_of()).access_key == "made"


@pytest.mark.usefixtures("_nothing_around")
def test_two_with_other_keys_are_not_taken_for_one_another():
    one, same, other = (
        S3Store.open("s3://bucket/lab", {"key": "mykey", "secret": secret}).path("k") for secret in ("a", "a", "b")
    )
    assert one == same
    assert one != other
    assert one.fs is same.fs
    assert one.fs is not other.fs
    assert hash(one.storage_options["session"]) == hash(same.storage_options["session"])


# -------------------------------------------------------------------------------------------------------------- secrets

SECRETS = ("labkeyid", "labsecret", "labtoken")


def shown(thing: Any) -> str:
    return f"{thing!r} {thing} {pickle.dumps(thing)!r}"


@pytest.fixture
def store() -> Store:
    return S3Store.open("s3://bucket/lab", dict(zip(("key", "secret", "token"), SECRETS, strict=True)))


def test_a_path_shows_no_secret(store):
    path = store.path("a/b")
    seen = [shown(path), shown(path.fs), repr(path.storage_options), repr(path.parent.joinpath("c").storage_options)]
    seen += [str(type(path.fs)._cache)]
    with pytest.raises(ValueError, match="incompatible") as caught:
        path.relative_to(S3Store.open("s3://bucket/lab", {"anon": True}).path("a"))
    seen.append("".join(traceback.format_exception(caught.value)))
    assert not [secret for secret in SECRETS for text in seen if secret in text]


def test_a_pickled_path_works_in_a_process_of_ours_and_not_elsewhere(ws, bucket, tmp_path, monkeypatch):
    (tmp_path / "x.txt").write_text("x")
    path = upath(imported(ws, "x", tmp_path / "x.txt"))
    pickled = pickle.dumps(path)
    assert pickle.loads(pickled).read_text() == "x"
    monkeypatch.setattr(current_process(), "_config", {**current_process()._config, "authkey": b"another"})  # type: ignore[attr-defined]
    assert credentials_of(pickle.loads(pickled).storage_options) is None


def test_a_path_in_a_forked_child_is_an_error_or_works(ws, bucket, tmp_path):
    """A store that was used before a fork says so in the child; a new one works there."""
    (tmp_path / "x.txt").write_text("x")
    asset = imported(ws, "x", tmp_path / "x.txt")
    code = f"""
import os, sys, warnings
from molexp_s3_store import S3Store
warnings.simplefilter("ignore")
options = {bucket.storage_options!r}
path = S3Store.open({bucket.url!r}, options).path({asset.key!r})
assert path.read_text() == "x"
if (pid := os.fork()) == 0:
    try:
        path.read_text()
    except RuntimeError as error:
        sys.stderr.write(f"said: {{error}}")
    again = S3Store.open({bucket.url!r}, options).path({asset.key!r})
    sys.stdout.write(again.read_text())
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "x"), done.stderr
    assert "fork" in done.stderr
