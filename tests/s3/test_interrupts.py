"""Ctrl-C while a server is silent: it is heard once the request at hand is given up, not when all tries are over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.s3.test_large import until

pytestmark = pytest.mark.s3

ROOT = Path(__file__).resolve().parent.parent.parent

CODE = """
import json, os, time
from molexp_s3_store import S3Store
store = S3Store.open(*json.loads(os.environ["STORE"]))
print("ready", flush=True)
try:
    {act}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
ACTS = {
    "read": "store.read('k')",
    "create": "store.create('new', b'x')",
    "list": "list(store.list())",
    "put_file": "import pathlib; store.put_file(pathlib.Path(__import__('sys').executable), 'new')",
    "each": "store.each(store.read, ['k'] * 8)",
}


@pytest.mark.parametrize("name", ACTS)
def test_it_is_heard_while_nothing_answers(name, bucket, on):
    behind = on(bucket)
    behind.proxy.hang = True
    options = {**behind.bucket.storage_options, "retry_timeout": 600.0, "request_timeout": 2.0}
    options["transfer_timeout"] = 2.0  # the larger a body, the longer it may take
    child = subprocess.Popen(
        [sys.executable, "-c", CODE.format(act=ACTS[name])],
        cwd=ROOT,
        env={**os.environ, "STORE": json.dumps([bucket.url, options])},
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        until(lambda: bool(behind.proxy.requests))
        child.send_signal(signal.SIGINT)
        try:
            assert child.stdout.readline() == "interrupted\n"
            child.wait(300)
        finally:
            child.kill()
    behind.proxy.hang = False
    assert bucket.raw_keys() == set()
