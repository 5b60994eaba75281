"""Payloads that do not fit into memory go up and come down; a download that broke off is gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from molexp.errors import StoreError, UnavailableError
from molexp_s3_store import S3Store
from tests.record.helpers import Place
from tests.s3.helpers import MIB
from tests.s3.processes import Stage
from tests.servers.proxy import Fault

pytestmark = pytest.mark.s3

EXTRA = 200 * MIB  # of memory


def pattern(path: Path, size: int) -> Path:
    """A file of which no two pieces of 4 KiB are equal."""
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            file.write(b"".join(b"%016d" % (start + at) * 256 for at in range(0, MIB, 4096)))
    return path


@pytest.mark.parametrize(
    "size",
    [
        64 * MIB,
        pytest.param(512 * MIB, marks=pytest.mark.soak),  # more than the memory that it may take
        pytest.param(2080 * MIB, marks=pytest.mark.long),  # more than 2^31 bytes
    ],
    ids=["64 MiB", "512 MiB", "2 GiB"],
)
def test_a_large_artifact_goes_up_and_comes_down_without_filling_memory(size, ceph, tmp_path, capsys):
    bucket = ceph.fresh()
    stage = Stage(Place(bucket.url, bucket.storage_options), tmp_path)
    source = pattern(tmp_path / "large.bin", size)
    try:
        up, down = stage.run("send", str(source), MOLEXP_CACHE_DIR=str(tmp_path / "cache"))
        with capsys.disabled():
            print(f"\n{size // MIB} MiB: {up['sent'] // MIB} MiB of memory up, {down['fetched'] // MIB} MiB more down")
        assert up["sent"] < EXTRA
        assert down["fetched"] < EXTRA
        assert down["size"] == size
        assert down["found"] == down["recorded"], "the hash that was recorded is that of the bytes that came"
    finally:
        bucket.raw_clear()


def asked(requests) -> int:
    """The bytes of all ranges that were asked for."""
    ranges = [request.headers["range"].removeprefix("bytes=").split("-") for request in requests]
    return sum(int(end) - int(start) + 1 for start, end in ranges)


def test_a_broken_download_is_gone_on_with(bucket, on, tmp_path):
    size = 64 * MIB
    source = pattern(tmp_path / "source", size)
    S3Store.open(bucket.url, bucket.storage_options).put_file(source, "k")
    behind = on(bucket, retry_timeout=0.2)
    copy = tmp_path / "copy"

    def broken(done: int) -> None:
        arrived.append(done)
        if sum(arrived) >= size // 2:
            behind.proxy.down()

    arrived: list[int] = []
    with pytest.raises(UnavailableError):
        behind.store.get_file("k", copy, progress=broken)
    assert not copy.exists(), "what is not whole does not bear the name"
    assert size // 2 <= sum(arrived) < size

    behind.proxy.up()
    behind.proxy.clear()
    behind.store.get_file("k", copy)
    assert copy.read_bytes() == source.read_bytes()
    assert asked(behind.proxy.requests) <= size - sum(arrived) + 8 * MIB, "and one block to see what it is"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]
    bucket.raw_clear()


def test_a_download_that_broke_off_is_begun_anew_where_the_object_is_another(bucket, on, tmp_path):
    first, second = pattern(tmp_path / "first", 32 * MIB), tmp_path / "second"
    second.write_bytes(first.read_bytes()[::-1])
    direct = S3Store.open(bucket.url, bucket.storage_options)
    direct.put_file(first, "k")
    behind = on(bucket, retry_timeout=0.2)
    copy = tmp_path / "copy"
    with pytest.raises(UnavailableError):
        behind.store.get_file("k", copy, progress=lambda done: behind.proxy.down())
    behind.proxy.up()
    direct.put_file(second, "k")
    behind.store.get_file("k", copy)
    assert copy.read_bytes() == second.read_bytes()
    bucket.raw_clear()


def test_a_stream_of_ranges_is_one_object(bucket, on, tmp_path):
    """An object that is replaced while it is read is an error, not a mix of two."""
    store = on(bucket).store
    store.put_file(pattern(tmp_path / "source", 32 * MIB), "k")
    with store.open_read("k") as stream:
        stream.read(10)
        store.write("k", bytes(32 * MIB))
        with pytest.raises(StoreError, match="replaced while"):
            stream.read()
    bucket.raw_clear()


@pytest.mark.parametrize("when", ["while it writes", "while it writes exclusively", "when it has taken the key"])
def test_the_parts_of_a_killed_writer_are_named_and_freed(when, ceph, on, tmp_path):
    behind = on(ceph.fresh())
    bucket = behind.bucket
    taken = when == "when it has taken the key"
    if taken:  # its completion is not heard of
        behind.proxy.once(lambda request: request.method == "POST" and "uploadId" in request.query, Fault.HANG)
    actor = Stage(behind.place, tmp_path).start("begin_large", "" if when == "while it writes" else "yes")
    assert actor.hear() == {"begun": True}
    if taken:
        actor.tell()
        until(lambda: any(request.fault for request in behind.proxy.requests))
    actor.kill()

    store = S3Store.open(bucket.url, bucket.storage_options)
    assert bucket.raw_keys() == {"upload: large.bin"} | ({"large.bin"} if taken else set())
    (left,) = store.leftovers(-1.0)
    assert "large.bin" in left
    assert not list(store.leftovers(3600.0)), "what began a moment ago may be at work"
    assert store.remove_leftovers(3600.0) == 0
    assert store.remove_leftovers(-1.0) == 1
    assert bucket.raw_keys() == set()
    store.close()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_somebody_put_under_the_key_meanwhile_is_nobodys_leftover(ceph):
    bucket = ceph.fresh()
    ceph.client.create_multipart_upload(Bucket=bucket.name, Key=f"{bucket.prefix}/k")
    bucket.raw_write("k", b"a record")
    store = S3Store.open(bucket.url, bucket.storage_options)
    assert store.remove_leftovers(-1.0) == 1
    assert bucket.raw_keys() == {"k"}
    store.close()


def test_parts_of_others_are_nobodys_leftovers(moto):
    """Parts of a neighbour whose prefix begins with ours are not ours, either."""
    one = moto.fresh()
    for prefix in (f"{one.prefix}-other", f"other-{one.prefix}"):
        moto.client.create_multipart_upload(Bucket=one.name, Key=f"{prefix}/k")
    store = S3Store.open(one.url, one.storage_options)
    assert list(store.leftovers(-1.0)) == []
    assert store.remove_leftovers(-1.0) == 0
    store.close()
