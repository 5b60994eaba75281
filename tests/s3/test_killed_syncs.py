"""A sync to S3 is killed amid a request: what is there is a workspace, and the next sync goes on."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import molexp as me
from tests.record.helpers import DEADLINE, Place
from tests.record.syncing import BIG, fill, record
from tests.s3.helpers import Behind
from tests.servers.buckets import REGION
from tests.servers.proxy import Fault

pytestmark = pytest.mark.s3

FEW = (0, 6, 14, 12)  # requests that are let through, one sync after the other


def kill_at(behind: Behind, number: int, fault: Fault, lab: Path) -> bool:
    """Kill `molexp sync` at the request to write after so many; tells whether it came to that."""
    behind.proxy.clear()
    seen = itertools.count()
    behind.proxy.once(lambda request: request.method in ("PUT", "POST") and next(seen) >= number, fault)
    front = behind.bucket.front
    environ = os.environ | {
        "AWS_ENDPOINT_URL": front.url,
        "AWS_ACCESS_KEY_ID": front.access_key,
        "AWS_SECRET_ACCESS_KEY": front.secret_key,
        "AWS_REGION": REGION,
    }
    command = [sys.executable, "-m", "molexp_cli", "sync", str(lab), behind.bucket.url]
    with behind.proxy.settling():
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            deadline = time.monotonic() + DEADLINE
            while not behind.suffered and child.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            child.kill()
            out, _ = child.communicate()
        behind.proxy.calm()
    assert behind.suffered or child.returncode == 0, out.decode()
    return bool(behind.suffered)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER], ids=["unheard", "applied"])
def test_what_is_there_is_a_workspace_and_the_next_sync_goes_on(behind, fault, tmp_path):
    lab, back = Place(str(tmp_path / "lab")), Place(str(tmp_path / "back"))
    fill(lab, tmp_path)
    truth = {run.path: str(run.status) for run in lab.load().catalog.runs()}
    killed = 0
    for number in FEW:
        killed += kill_at(behind, number, fault, lab.folder)
        if behind.place.store.exists("workspace.json"):
            there = {run.path: str(run.status) for run in behind.place.load().catalog.runs()}
            assert all(status in (truth[path], "pending") for path, status in there.items()), there
    assert killed >= len(FEW) - 1

    report = me.sync_workspace(lab.url, behind.place.load())
    assert report.ok
    assert report.counts["bytes"] < len(BIG) + 100_000, "what was there is not sent again"
    assert me.sync_workspace(behind.place.load(), back.url).ok
    assert record(back) == record(lab)
    assert behind.place.load().fsck(read_data=True).ok
