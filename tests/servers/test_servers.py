"""The S3 servers of the tests, and the proxy in front of them: that they do what other tests rest on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.on_s3 import PLAYED
from tests.servers import ceph as ceph_server
from tests.servers.buckets import Bucket, Server
from tests.servers.keeper import KEYS, ROOT
from tests.servers.proxy import Fault

pytestmark = pytest.mark.skipif(find_spec("boto3") is None, reason="NO TEST AGAINST S3 SERVERS HERE: no boto3")

THREADS = 16
MIB = 1024 * 1024


def put(bucket: Bucket, key: str, data: bytes = b"x", **how: str) -> int:
    """Write as a client would that is tested; returns the status."""
    from botocore.exceptions import ClientError

    try:
        answer = bucket.front.client.put_object(Bucket=bucket.name, Key=f"{bucket.prefix}/{key}", Body=data, **how)
    except ClientError as error:
        answer = error.response
    status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status


def get(bucket: Bucket, key: str) -> bytes:
    answer = bucket.front.client.get_object(Bucket=bucket.name, Key=f"{bucket.prefix}/{key}")
    data: bytes = answer["Body"].read()
    return data


def lost(act, *arguments: object) -> str:
    """Do what must fail without an answer; returns how."""
    from botocore.exceptions import BotoCoreError

    with pytest.raises(BotoCoreError) as caught:
        act(*arguments)
    return type(caught.value).__name__


def race(bucket: Bucket, key: str) -> list[bytes]:
    """Return who of many was told to have made `key`."""
    values = [f"{number}".encode() for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        told = list(pool.map(lambda value: put(bucket, key, value, IfNoneMatch="*"), values))
    assert set(told) <= {200, 412, 409}
    return [value for value, status in zip(values, told, strict=True) if status == 200]


# ------------------------------------------------------------------------------------------------------------- servers


def test_of_many_writers_one_makes_a_key(bucket):
    for number in range(20):
        (winner,) = race(bucket, f"k{number}")
        assert bucket.raw_read(f"k{number}") == winner


def test_of_many_writers_one_replaces_what_it_has_read(bucket):
    bucket.raw_write("k", b"old")
    tag = bucket.server.client.head_object(Bucket=bucket.name, Key=f"{bucket.prefix}/k")["ETag"].strip('"')
    values = [f"{number}".encode() for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        told = list(pool.map(lambda value: put(bucket, "k", value, IfMatch=tag), values))
    (winner,) = [value for value, status in zip(values, told, strict=True) if status == 200]
    assert bucket.raw_read("k") == winner


@pytest.mark.s3
def test_s3rver_lets_all_win(s3rver):
    bucket = s3rver.fresh()
    assert [put(bucket, "k", value, IfNoneMatch="*") for value in (b"1", b"2")] == [200, 200]
    assert bucket.raw_read("k") == b"2"


def test_the_back_door_sees_everything(bucket):
    other = bucket.fresh("other")
    bucket.raw_write("a/x", b"1")
    other.raw_write("x", b"2")
    upload = bucket.server.client.create_multipart_upload(Bucket=bucket.name, Key=f"{bucket.prefix}/big")
    assert upload["UploadId"]
    assert bucket.raw_keys() == {"a/x", "other/x", "upload: big"}
    assert (bucket.raw_read("a/x"), other.raw_read("x"), bucket.raw_read("no")) == (b"1", b"2", None)
    bucket.raw_clear()
    assert bucket.raw_keys() == set()


@pytest.mark.s3
def test_a_stranger_is_refused(ceph):
    theirs = ceph.fresh().as_user(*ceph_server.STRANGER)
    nobodys = theirs.as_user("nobodykey", "nobodysecret")
    assert (put(theirs, "k"), put(nobodys, "k")) == (403, 403)
    assert theirs.raw_keys() == set()


ASK = """
import sys
from pathlib import Path
from tests.servers.keeper import shared
print(shared(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])).url)
"""


def processes(folder: Path) -> dict[int, bytes]:
    """The commands of those that were started for `folder`."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue  # gone, or somebody else's
        if str(folder).encode() in command + environment:
            found[int(process.name)] = command
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("victim", ["session", "keeper"])
@pytest.mark.parametrize("kind", ["moto", *(pytest.param(kind, marks=pytest.mark.s3) for kind in ("ceph", "s3rver"))])
def test_one_server_for_all_and_none_when_they_are_killed(kind, victim, tmp_path, request):
    request.getfixturevalue(kind)  # or a skip
    folder = tmp_path / "servers"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as owner:
        command = [sys.executable, "-c", ASK, kind, str(folder), str(owner.pid)]
        asking = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        url, same = [asked.communicate(timeout=300)[0].strip() for asked in asking]
        assert url == same
        assert put(Server(kind, url, *KEYS[kind]).fresh(), "k") == 200
        (keeper,) = [pid for pid, command in processes(folder).items() if b"tests.servers.keeper" in command]
        os.kill(owner.pid if victim == "session" else keeper, signal.SIGKILL)
        _until(lambda: not processes(folder))
        assert (folder / kind).exists() == (victim == "keeper")


def _until(true) -> None:
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


# --------------------------------------------------------------------------------------------------------------- proxy


@pytest.fixture
def behind(bucket, proxied):
    """A bucket behind a proxy, and that."""
    return proxied(bucket)


def test_it_counts(behind):
    bucket, proxy = behind
    assert put(bucket, "a b", b"123", IfNoneMatch="*") == 200
    assert put(bucket, "a b", b"45", IfNoneMatch="*") == 412
    assert get(bucket, "a b") == b"123"
    assert proxy.counts() == {"PUT": 2, "GET": 1}
    first, second, third = proxy.requests
    assert (first.status, first.served, first.if_none_match, first.size) == (200, 200, "*", 3)
    assert (second.status, third.status, third.size, third.if_none_match) == (412, 200, 0, None)
    assert first.path == f"/{bucket.name}/{bucket.prefix}/a b"
    proxy.clear()
    bucket.front.client.list_objects_v2(Bucket=bucket.name, Prefix=bucket.prefix)
    (listed,) = proxy.requests
    assert (listed.parameters["list-type"], listed.parameters["prefix"]) == ("2", bucket.prefix)


def test_it_delays_requests_side_by_side(behind):
    bucket, proxy = behind
    put(bucket, "warm")
    proxy.delay = 0.3
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: put(bucket, f"k{number}"), range(8))) == [200] * 8
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(
    ("fault", "told", "applied"),
    [
        (Fault.RESET_BEFORE, "ConnectionClosedError", False),
        (Fault.RESET_IN_BODY, "ConnectionClosedError", False),
        (Fault.RESET_AFTER, "ConnectionClosedError", True),
        (Fault.SLOW_DOWN, 503, False),
        (Fault.SLOW_DOWN_AFTER, 503, True),
        (Fault.INTERNAL_ERROR, 500, False),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Fault) else None,
)
def test_a_write_suffers(behind, fault, told, applied):
    bucket, proxy = behind
    proxy.once(lambda request: request.path.endswith("/k"), fault)
    assert put(bucket, "other") == 200
    assert (put(bucket, "k", bytes(MIB)) if isinstance(told, int) else lost(put, bucket, "k", bytes(MIB))) == told
    request = proxy.requests[-1]
    assert request.fault == fault.name
    assert request.status == (told if isinstance(told, int) else None)
    assert request.served == (200 if applied else None)
    assert bucket.raw_keys() == ({"other", "k"} if applied else {"other"})
    assert put(bucket, "k") == 200, "once"


def test_answers_end_early(behind):
    bucket, proxy = behind
    bucket.raw_write("k", bytes(MIB))
    proxy.once(lambda request: request.method == "GET", Fault.TRUNCATED)
    assert lost(get, bucket, "k") == "ResponseStreamingError"
    proxy.once(lambda request: request.method == "PUT", Fault.TRUNCATED)
    assert lost(put, bucket, "new") == "ConnectionClosedError"
    assert bucket.raw_read("new") == b"x"


def test_faults_by_chance_come_in_the_order_of_their_seed(behind):
    bucket, proxy = behind
    seen = []
    for _ in range(2):
        proxy.clear()
        proxy.fail(0.4, seed=7, faults=(Fault.SLOW_DOWN, Fault.INTERNAL_ERROR))
        told = [put(bucket, "k") for _ in range(40)]
        seen.append([request.fault for request in proxy.requests])
        assert set(told) == {200, 500, 503}
    assert seen[0] == seen[1]
    faults = " ".join(fault or "none" for fault in seen[0])
    assert "SLOW_DOWN SLOW_DOWN" in faults, "a burst"
    proxy.calm()
    assert [put(bucket, "k") for _ in range(20)] == [200] * 20


def test_the_network_is_lost_and_comes_back(behind):
    bucket, proxy = behind
    assert put(bucket, "a") == 200
    proxy.down()
    assert lost(put, bucket, "b") == "EndpointConnectionError"
    proxy.up()
    assert put(bucket, "c") == 200
    assert bucket.raw_keys() == {"a", "c"}


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER])
def test_an_answer_that_never_comes(behind, fault):
    bucket, proxy = behind
    proxy.once(lambda request: True, fault)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lost, put, bucket, "k")
        _until(lambda: proxy.requests and proxy.requests[-1].size)
        if fault is Fault.HANG_AFTER:
            _until(lambda: bucket.raw_read("k"))
        assert not waiting.done()
        proxy.calm()
        proxy.down()
        assert waiting.result() == "ConnectionClosedError"
    assert (bucket.raw_read("k") is not None) == (fault is Fault.HANG_AFTER)


def test_large_objects_pass_in_pieces(behind):
    bucket, proxy = behind
    data = os.urandom(MIB) * 64
    assert put(bucket, "large", data) == 200
    assert get(bucket, "large") == data
    assert [request.size for request in proxy.requests] == [64 * MIB, 0]
    bucket.raw_clear()


def test_tests_that_the_gate_plays_on_s3_are_there():
    for module, names in PLAYED.items():
        text = (ROOT / module).read_text(encoding="utf-8")
        gone = [name for name in names if not re.search(rf"\bdef {name}\(", text)]
        assert not gone, f"tests/on_s3.py names {gone} of {module}"
