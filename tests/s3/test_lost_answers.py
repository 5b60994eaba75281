"""Requests and answers that are lost: whatever is asked of the store happens once, and is answered as if nothing was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest

from molexp.errors import KeyExistsError, KeyNotFoundError, UnavailableError
from molexp_s3_store import S3Store
from tests.pairwise import pairwise
from tests.s3.answering import Heard, Reply, answering, error, passing_on
from tests.s3.helpers import MIB, Behind
from tests.servers.buckets import Bucket, Server
from tests.servers.proxy import Fault

LARGE = 17 * MIB  # goes up in two parts, comes down in three
OLD, NEW = b"old", b"new, and only mine: 4711"
BURST = 4
MANY = [f"many/k{number:04}" for number in range(1050)]

Act = Callable[[S3Store, Path], Any]


def streamed(data: bytes, **options: Any) -> Act:
    def act(store: S3Store, folder: Path) -> None:
        with store.open_write("k", **options) as stream:
            stream.write(data)

    return act


def sent(data: bytes, **options: Any) -> Act:
    def act(store: S3Store, folder: Path) -> None:
        (folder / "source").write_bytes(data)
        store.put_file(folder / "source", "k", **options)

    return act


def fetched(store: S3Store, folder: Path) -> bytes:
    store.get_file("k", folder / "copy")
    return (folder / "copy").read_bytes()


def opened(store: S3Store, folder: Path) -> bytes:
    with store.open_read("k") as stream:
        return stream.read()


@attrs.frozen
class Operation:
    """Describe an operation on ``k``, its answer, and what lies there before and after."""

    act: Act
    before: bytes | None
    after: bytes | None
    answer: Any = None


large = bytes(range(256)) * (LARGE // 256)
SMALL = {
    "create": Operation(lambda store, _: store.create("k", NEW), None, NEW),
    "create nothing": Operation(lambda store, _: store.create("k", b""), None, b""),
    "write": Operation(lambda store, _: store.write("k", NEW), OLD, NEW),
    "read": Operation(lambda store, _: store.read("k"), OLD, OLD, OLD),
    "read a part": Operation(lambda store, _: store.read("k", 1, 1), OLD, OLD, b"l"),
    "stat": Operation(lambda store, _: store.stat("k").size, OLD, OLD, 3),
    "list": Operation(lambda store, _: [stat.key for stat in store.list()], OLD, OLD, ["k"]),
    "children": Operation(lambda store, _: [stat.key for stat in store.children().entries], OLD, OLD, ["k"]),
    "delete": Operation(lambda store, _: store.delete("k"), OLD, None),
    "open_read": Operation(opened, OLD, OLD, OLD),
    "open_write": Operation(streamed(NEW), OLD, NEW),
    "open_write exclusively": Operation(streamed(NEW, exclusive=True), None, NEW),
    "put_file": Operation(sent(NEW), OLD, NEW),
    "put_file exclusively": Operation(sent(NEW, exclusive=True), None, NEW),
    "get_file": Operation(fetched, OLD, OLD, OLD),
}
BIG = {
    "open_write": Operation(streamed(large), OLD, large),
    "open_write exclusively": Operation(streamed(large, exclusive=True), None, large),
    "put_file": Operation(sent(large), OLD, large),
    "put_file exclusively": Operation(sent(large, exclusive=True), None, large),
    "open_read": Operation(opened, large, large, large),
    "get_file": Operation(fetched, large, large, large),
}
FAULTS = {
    "reset before": (Fault.RESET_BEFORE, 1),
    "reset in body": (Fault.RESET_IN_BODY, 1),
    "reset after": (Fault.RESET_AFTER, 1),
    "slow down": (Fault.SLOW_DOWN, BURST),
    "slow down after": (Fault.SLOW_DOWN_AFTER, 1),
    "internal error": (Fault.INTERNAL_ERROR, 1),
    "truncated": (Fault.TRUNCATED, 1),
    "two answers lost": (Fault.RESET_AFTER, 2),
}
USUAL = ("create", "write")  # of these, all is looked at in the default suite; of the others, a lost answer


CASES = [
    pytest.param(
        operation,
        *FAULTS[fault],
        id=f"{name}-{fault}",
        marks=() if name in USUAL or fault == "reset after" else pytest.mark.s3,
    )
    for name, operation in SMALL.items()
    for fault in FAULTS
]


def check(operation: Operation, behind: Behind, folder: Path) -> None:
    """Do it; what it did and answered is what it would have without a fault."""
    if operation.before is not None:
        behind.bucket.raw_write("k", operation.before)
    assert operation.act(behind.store, folder) == operation.answer
    assert behind.bucket.raw_read("k") == operation.after


@pytest.mark.parametrize(("operation", "fault", "times"), CASES)
def test_a_small_operation_is_done_once(operation, fault, times, behind, tmp_path):
    behind.lose(fault, times=times)
    check(operation, behind, tmp_path)

    assert behind.suffered == [fault.name] * times, "and nothing was asked more often than it was refused"
    assert len(behind.proxy.requests) <= times + 2
    assert behind.bucket.raw_keys() == ({"k"} if operation.after is not None else set())


@pytest.mark.s3
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER])
def test_an_answer_that_never_comes_is_asked_for_again(name, fault, bucket, on, tmp_path):
    behind = on(bucket, request_timeout=1.0)
    behind.lose(fault)
    check(SMALL[name], behind, tmp_path)


WRITING = [name for name, operation in BIG.items() if not operation.answer]
BIG_CASES = [
    *pairwise(WRITING, [*FAULTS], ["first", "last"]),
    *(pytest.param(*one, "second", marks=pytest.mark.long) for one in product(WRITING, FAULTS)),
    *((*one, "first") for one in product((name for name in BIG if name not in WRITING), FAULTS)),
]


@pytest.mark.s3
@pytest.mark.parametrize(("name", "fault", "place"), BIG_CASES)
def test_a_large_operation_is_done_once(name, fault, place, behind, tmp_path):
    kind, times = FAULTS[fault]
    query = {"first": "", "second": "partNumber=2", "last": ""}[place]
    method = {"first": "", "second": "", "last": "POST"}[place]
    if place == "last":
        behind.proxy.once(lambda request: request.method == "POST" and "uploadId" in request.query, kind, times=times)
    else:
        behind.lose(kind, times=times, query=query, method=method)
    check(BIG[name], behind, tmp_path)

    reading = name in ("open_read", "get_file")
    assert behind.suffered == [kind.name] * times
    left = behind.bucket.raw_keys() - {"k"}
    applied = kind in (Fault.RESET_AFTER, Fault.SLOW_DOWN_AFTER, Fault.TRUNCATED)
    begun_twice = place == "first" and applied and not reading
    assert left == ({"upload: k"} if begun_twice else set()), "only an upload whose name never came is left"
    behind.store.remove_leftovers(-1.0)
    assert behind.bucket.raw_keys() == {"k"}
    behind.bucket.raw_clear()


@pytest.fixture(scope="module")
def long(moto: Server) -> Bucket:
    """A folder of more keys than a request lists."""
    bucket = moto.fresh()
    store = S3Store.open(bucket.url, bucket.storage_options)
    store.each(lambda key: store.write(key, b"x"), MANY)  # of an empty one, a listing asks whether it marks a folder
    store.close()
    return bucket


@pytest.mark.s3
@pytest.mark.parametrize("fault", FAULTS)
def test_a_listing_that_breaks_off_has_every_key_once(fault, long, on):
    behind = on(long)
    kind, times = FAULTS[fault]
    for list_them in (
        lambda: [stat.key for stat in behind.store.list("many")],
        lambda: [stat.key for stat in behind.store.children("many").entries],
    ):
        behind.proxy.clear()
        behind.lose(kind, times=times, query="continuation-token")
        assert list_them() == MANY
        assert set(behind.suffered) == {kind.name}


@pytest.mark.s3
@pytest.mark.parametrize("how", [streamed, sent], ids=["stream", "file"])
@pytest.mark.parametrize("done", [False, True])
def test_a_completion_that_fails_with_status_200_is_no_success(how, done, bucket, tmp_path):
    """As Amazon answers where something goes wrong once it has sent the status."""
    there = passing_on(bucket.server.url)
    failures = iter([True])

    def reply(heard: Heard) -> Reply:
        if heard.method == "POST" and "uploadId" in heard.path and next(failures, False):
            if done:
                there(heard)
            return attrs.evolve(error(500, "InternalError", "We encountered an internal error."), status=200)
        return there(heard)

    with answering(reply) as server:
        store = S3Store.open(bucket.url, {**bucket.storage_options, "endpoint_url": server.url})
        how(large, exclusive=True)(store, tmp_path)
        store.close()
    assert bucket.raw_keys() == {"k"}
    assert bucket.raw_read("k") == large
    bucket.raw_clear()


# ------------------------------------------------------------------------------------------------- whose success it was


@pytest.mark.parametrize("theirs", [b"theirs", NEW + b"!", NEW[:-1], b""])
@pytest.mark.parametrize("fault", [Fault.RESET_AFTER, Fault.SLOW_DOWN_AFTER, Fault.RESET_BEFORE])
def test_a_refusal_stays_a_refusal_when_its_answer_is_lost(theirs, fault, behind):
    behind.bucket.raw_write("k", theirs)
    behind.lose(fault, times=2, method="PUT")

    with pytest.raises(KeyExistsError):
        behind.store.create("k", NEW)
    assert behind.suffered == [fault.name] * 2
    assert behind.bucket.raw_read("k") == theirs


@pytest.mark.parametrize("act", [streamed(NEW, exclusive=True), sent(NEW, exclusive=True)], ids=["stream", "file"])
def test_an_exclusive_payload_replaces_nothing(act, behind, tmp_path):
    behind.bucket.raw_write("k", OLD)
    behind.lose(Fault.RESET_AFTER, method="PUT")
    with pytest.raises(KeyExistsError):
        act(behind.store, tmp_path)
    assert behind.bucket.raw_read("k") == OLD


def test_every_put_of_a_creation_is_conditional(behind):
    behind.lose(Fault.RESET_AFTER, times=3, method="PUT")
    behind.store.create("k", NEW)
    puts = [request for request in behind.proxy.requests if request.method == "PUT"]
    assert [request.if_none_match for request in puts] == ["*"] * 4
    assert [request.served for request in puts] == [200, 412, 412, 412]


def test_what_somebody_deleted_meanwhile_is_created_again(behind):
    """Our success, whose answer was lost, was deleted before we asked again: the second try is a success of its own."""
    behind.lose(Fault.RESET_AFTER, method="PUT")
    seen = threading.Event()

    def deleting(request):
        if request.method == "PUT" and not seen.is_set() and behind.bucket.raw_read("k") is not None:
            behind.bucket.raw_delete("k")
            seen.set()
        return False

    behind.proxy.once(deleting, Fault.SLOW_DOWN)
    behind.store.create("k", NEW)
    assert seen.is_set()
    assert behind.bucket.raw_read("k") == NEW


@pytest.mark.s3
def test_one_of_many_who_create_a_key_wins_while_a_third_of_all_requests_fail(s3_server, on):
    behind = on(s3_server.fresh())
    behind.proxy.fail(0.3, seed=11)
    racers, turns = 8, 12

    def race(turn: int, racer: int) -> bool:
        try:
            behind.store.create(f"k{turn}", b"racer %d" % racer)
        except KeyExistsError:
            return False
        return True

    with ThreadPoolExecutor(racers) as pool:
        for turn in range(turns):
            won = list(pool.map(race, [turn] * racers, range(racers)))
            assert won.count(True) == 1, (turn, won)
            assert behind.bucket.raw_read(f"k{turn}") == b"racer %d" % won.index(True)


# ------------------------------------------------------------------------------------------------------- a lost network


@pytest.mark.parametrize("name", ["create", "write", "read", "list", "get_file"])
def test_without_a_network_the_error_names_the_key_the_place_and_what_to_do(name, bucket, on, tmp_path):
    behind = on(bucket, retry_timeout=0.2)
    behind.proxy.down()
    with pytest.raises(UnavailableError) as caught:
        SMALL[name].act(behind.store, tmp_path)
    found = caught.value
    assert found.url == bucket.url
    assert found.key == ("" if name == "list" else "k")
    assert bucket.url in str(found)
    assert "check the network" in str(found)
    assert "labsecret" not in str(found)

    behind.proxy.up()
    behind.store.write("k", NEW)
    assert behind.store.read("k") == NEW, "and the store is as good as before"


@pytest.mark.s3
@pytest.mark.parametrize("name", BIG)
def test_without_a_network_large_payloads_fail_the_same(name, bucket, on, tmp_path):
    behind = on(bucket, retry_timeout=0.2)
    if BIG[name].before is not None:
        bucket.raw_write("k", BIG[name].before)
    behind.proxy.down()
    with pytest.raises(UnavailableError, match="check the network"):
        BIG[name].act(behind.store, tmp_path)
    assert bucket.raw_read("k") == BIG[name].before
    bucket.raw_clear()


def test_the_network_comes_back_in_time(behind):
    behind.proxy.down()
    refused = threading.Event()

    def ask() -> None:
        refused.set()
        behind.store.create("k", NEW)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        refused.wait()
        behind.proxy.up()
        asking.result()
    assert behind.bucket.raw_read("k") == NEW


# --------------------------------------------------------------------------------------------- large exclusive payloads


def _big(number: int) -> bytes:
    return bytes([number]) * LARGE


@pytest.mark.s3
@pytest.mark.parametrize("how", [streamed, sent], ids=["stream", "file"])
def test_one_of_many_large_exclusive_payloads_wins(how, s3_server, on, tmp_path):
    bucket: Bucket = s3_server.fresh()
    stores = [on(bucket).store for _ in range(4)]
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()

    def race(number: int) -> bool:
        try:
            how(_big(number), exclusive=True)(stores[number], folders[number])
        except KeyExistsError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(race, range(4)))
    assert won.count(True) == 1
    assert bucket.raw_read("k") == _big(won.index(True))
    assert bucket.raw_keys() == {"k"}, "the losers' parts are freed"
    bucket.raw_clear()


@pytest.mark.s3
@pytest.mark.parametrize("how", [streamed, sent], ids=["stream", "file"])
def test_a_large_payload_that_comes_second_leaves_nothing(how, s3_server, on, tmp_path):
    behind = on(s3_server.fresh())
    behind.bucket.raw_write("k", OLD)
    with pytest.raises(KeyExistsError):
        how(_big(1), exclusive=True)(behind.store, tmp_path)
    assert behind.bucket.raw_read("k") == OLD
    assert behind.bucket.raw_keys() == {"k"}


@pytest.mark.s3
@pytest.mark.parametrize("exclusive", [False, True])
def test_a_stream_that_is_left_by_an_error_leaves_nothing(exclusive, s3_server, on):
    behind = on(s3_server.fresh())
    with pytest.raises(ZeroDivisionError), behind.store.open_write("k", exclusive=exclusive) as stream:
        stream.write(_big(1))
        raise ZeroDivisionError
    assert behind.bucket.raw_keys() == set()


@pytest.mark.s3
@pytest.mark.parametrize("how", [streamed, sent], ids=["stream", "file"])
def test_a_large_exclusive_payload_whose_completion_fails_gives_the_key_back(how, bucket, on, tmp_path):
    behind = on(bucket, retry_timeout=0.2)
    behind.proxy.once(
        lambda request: request.method == "POST" and "uploadId" in request.query, Fault.INTERNAL_ERROR, times=99
    )
    with pytest.raises(UnavailableError):
        how(large, exclusive=True)(behind.store, tmp_path)
    assert behind.bucket.raw_keys() <= {"upload: k"}, "no mark is left"
    behind.proxy.calm()
    how(large, exclusive=True)(behind.store, tmp_path)
    assert bucket.raw_read("k") == large
    bucket.raw_clear()


@pytest.mark.s3
def test_a_missing_key_stays_missing(behind):
    for act in (behind.store.read, behind.store.stat, behind.store.open_read):
        behind.lose(Fault.RESET_AFTER)
        with pytest.raises(KeyNotFoundError):
            act("nowhere")
