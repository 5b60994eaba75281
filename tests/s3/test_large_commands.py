"""Files that do not fit into memory go up and come down by the commands; a download that broke off is gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.errors import UnavailableError
from tests.s3.helpers import MIB
from tests.s3.processes import ROOT
from tests.s3.test_large import pattern
from tests.servers.buckets import REGION, Bucket

pytestmark = pytest.mark.s3

EXTRA = 200 * MIB  # of memory
SIZE = 64 * MIB


@pytest.fixture
def molexp(bucket: Bucket, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a command in a process of its own, on a workspace in the bucket."""
    me.Workspace(bucket.url, storage_options=bucket.storage_options).Project("metals")
    environ = {
        **os.environ,
        "AWS_ENDPOINT_URL": bucket.front.url,
        "AWS_ACCESS_KEY_ID": bucket.front.access_key,
        "AWS_SECRET_ACCESS_KEY": bucket.front.secret_key,
        "AWS_REGION": REGION,
        "MOLEXP_WORKSPACE": bucket.url,
        "MOLEXP_CACHE_DIR": str(tmp_path / "cache"),
    }

    def molexp(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "tests.s3.commands", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=True, timeout=300)
        assert done.stderr == b""
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["code"] == 0
        return found

    return molexp


def test_a_large_file_goes_up_and_comes_down_without_filling_memory(bucket, molexp, tmp_path, capsys):
    source = pattern(tmp_path / "large.bin", SIZE)
    up = molexp("assets", "add", str(source), "--to", "metals")
    assert up["out"] == "metals:data:large.bin@1\n"
    down = molexp("assets", "get", "metals:data:large.bin@1", str(tmp_path / "copy.bin"))
    with capsys.disabled():
        print(f"\n{SIZE // MIB} MiB: {up['extra'] // MIB} MiB of memory up, {down['extra'] // MIB} MiB down")
    assert up["extra"] < EXTRA
    assert down["extra"] < EXTRA
    assert (tmp_path / "copy.bin").read_bytes() == source.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "copy.bin", "large.bin"]
    bucket.raw_clear()


def test_a_broken_download_is_gone_on_with(bucket, on, tmp_path):
    source = pattern(tmp_path / "large.bin", SIZE)
    direct = me.Workspace(bucket.url, storage_options=bucket.storage_options)
    direct.data_assets.import_asset("large", source)
    behind = on(bucket, retry_timeout=0.2)
    asset = behind.place.workspace().data_assets["large"]
    out = tmp_path / "out"

    def broken(count: int) -> None:
        arrived.append(count)
        if sum(arrived) >= SIZE // 2:
            behind.proxy.down()

    arrived: list[int] = []
    with pytest.raises(UnavailableError):
        asset.download(out / "copy", progress=broken)
    assert not (out / "copy").exists()
    assert SIZE // 2 <= sum(arrived) < SIZE

    behind.proxy.up()
    again: list[int] = []
    assert asset.download(out / "copy", progress=again.append).read_bytes() == source.read_bytes()
    assert again[0] >= SIZE // 2, "what had arrived is there at once"
    assert sum(again) == SIZE
    assert [path.name for path in out.iterdir()] == ["copy"]
    bucket.raw_clear()


def test_what_goes_on_with_damaged_bytes_begins_anew(bucket, on, tmp_path):
    source = pattern(tmp_path / "large.bin", SIZE)
    behind = on(bucket, retry_timeout=0.2)
    asset = behind.place.workspace().data_assets.import_asset("large", source)
    out = tmp_path / "out"
    with pytest.raises(UnavailableError):
        asset.download(out / "copy", progress=lambda _: behind.proxy.down())
    (left,) = (path for path in out.rglob("*") if path.is_file())
    left.write_bytes(bytes(left.stat().st_size))
    behind.proxy.up()

    with pytest.raises(me.HashMismatchError):
        asset.download(out / "copy")
    assert list(out.iterdir()) == []
    assert asset.download(out / "copy").read_bytes() == source.read_bytes()
    bucket.raw_clear()
