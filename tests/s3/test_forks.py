"""Stores in processes that come from another: the client's threads do not survive a fork, so it is refused at once."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from molexp.errors import CredentialsError
from molexp_s3_store import ForkedProcessError, S3Store
from tests.s3 import spawned
from tests.servers.buckets import Bucket

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE = 300

OPERATIONS: dict[str, Callable[[S3Store, Path], object]] = {
    "read": lambda store, _: store.read("k"),
    "write": lambda store, _: store.write("k", b"x"),
    "create": lambda store, _: store.create("new", b"x"),
    "stat": lambda store, _: store.stat("k"),
    "exists": lambda store, _: store.exists("k"),
    "delete": lambda store, _: store.delete("k"),
    "list": lambda store, _: list(store.list()),
    "children": lambda store, _: store.children(),
    "open_read": lambda store, _: store.open_read("k").read(),
    "open_write": lambda store, _: put(store, b"x"),
    "open_write in parts": lambda store, _: put(store, bytes(17 << 20)),
    "put_file": lambda store, path: store.put_file(path, "k"),
    "put_file in parts": lambda store, path: store.put_file(path.with_name("large"), "k"),
    "get_file": lambda store, path: store.get_file("k", path.with_name("copy")),
    "each": lambda store, _: store.each(store.read, ["k", "k"]),
}


def put(store: S3Store, data: bytes) -> None:
    with store.open_write("k") as stream:
        stream.write(data)


def opened(bucket: Bucket) -> S3Store:
    return S3Store.open(bucket.url, bucket.storage_options)


def forked(act: Callable[[], str]) -> tuple[str, int]:
    """Return what `act` returns in a forked child, and how that ended; a child that hangs is killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(DEADLINE)
        gc.disable()  # what other tests have left does not end here, where its threads are not
        code = 1
        try:
            os.write(writer, act().encode())
            code = 0
        except BaseException as error:  # noqa: BLE001 - nothing may unwind into the parent's code
            os.write(writer, repr(error).encode())
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    return said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refused(act: Callable[[], object]) -> str:
    try:
        act()
    except ForkedProcessError as error:
        return f"refused: {error}"
    return "not refused"


@pytest.mark.parametrize("used", ["this", "another"])
def test_a_child_of_a_process_that_has_used_a_store_is_refused_at_once(used, bucket, tmp_path):
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "large").write_bytes(bytes(17 << 20))
    parent = opened(bucket)
    parent.write("k", b"of the parent")
    assert parent.each(parent.exists, ["k", "new"]) == [True, False], "it has threads of its own, too"
    store = parent if used == "this" else opened(bucket)
    for name, act in OPERATIONS.items():
        said, code = forked(lambda act=act: refused(lambda: act(store, tmp_path / "source")))  # type: ignore[misc]
        assert said.startswith("refused: "), (name, said, code)
        assert "spawn" in said, "it says what to do instead"
        assert code == 0, name
    assert bucket.raw_keys() == {"k"}
    assert parent.read("k") == b"of the parent", "the parent goes on"
    parent.close()


def test_a_store_that_is_pickled_into_a_forked_child_is_refused_too(bucket):
    parent = opened(bucket)
    parent.write("k", b"x")
    data = pickle.dumps(parent)
    assert forked(lambda: refused(lambda: pickle.loads(data).read("k")))[0].startswith("refused: ")
    parent.close()


def alone(bucket: Bucket, code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: it has `store`, which it has not used, and may have a run `started`."""
    start = f"""
import atexit, multiprocessing, os, sys
from molexp_s3_store import S3Store, ForkedProcessError
url, options = {bucket.url!r}, {bucket.storage_options!r}
store = S3Store.open(url, options)
def started():
    import molexp as me
    ws = me.Workspace(url, storage_options=options)
    return ws.Project("metals").Experiment("cu").Run(id="one").start()
"""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start + code],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_a_child_that_is_forked_before_the_first_use_works(bucket):
    done = alone(
        bucket,
        """
pid = os.fork()
store.create("child" if not pid else "parent", b"x")
assert pid == 0 or os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
""",
    )
    assert done.returncode == 0, done.stderr
    assert bucket.raw_keys() == {"child", "parent"}


def test_a_forked_child_ends_as_any_process_does(bucket):
    """With what is done at the exit of an interpreter, which waits for nothing."""
    done = alone(
        bucket,
        """
store.each(store.exists, ["a", "b", "c"])
def child():
    try:
        store.read("k")
    except ForkedProcessError:
        print("refused", flush=True)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(300)
print(process.exitcode, flush=True)
pid = os.fork()
if pid:
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    store.create("parent", b"x")
""",
    )
    assert (done.returncode, done.stdout.split()) == (0, ["refused", "0", "0"]), done.stderr
    assert bucket.raw_keys() == {"parent"}


def test_a_process_that_ends_still_does_what_it_has_begun(bucket):
    """Work that is done at exit, by several requests at a time before, goes on when there are no new threads any more."""
    done = alone(
        bucket,
        """
atexit.register(lambda: store.each(lambda key: store.create(key, b"x"), ["a", "b", "c", "d"]))
store.read("k") if store.exists("k") else None
""",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bucket.raw_keys() == {"a", "b", "c", "d"}


def test_a_workspace_in_a_forked_child_is_inert(bucket):
    done = alone(
        bucket,
        """
with started() as ctx:
    ctx.set_result("by", "parent")
    pid = os.fork()
    if not pid:
        try:
            ctx.artifact.save("a.json", {})
        except Exception as error:
            print(type(error).__name__, flush=True)
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
if pid:
    print(ctx.run.status, ctx.run.results, len(ctx.run.assets))
""",
    )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.endswith("Error"), done.stdout
    assert rest == ["0", "succeeded {'by': 'parent'} 0"], done.stdout + done.stderr


def test_a_child_of_a_process_whose_run_has_ended_has_all_files_of_its_parent(bucket):
    """The spool's lock is closed in a child, and when its run has ended, its number is that of another file."""
    done = alone(
        bucket,
        """
with started() as ctx:
    ctx.set_result("by", "parent")
files = [open(os.devnull) for _ in range(40)]
pid = os.fork()
if not pid:
    for file in files:
        os.fstat(file.fileno())
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), ctx.run.status)
""",
    )
    assert done.stdout.split() == ["0", "succeeded"], done.stderr


@pytest.mark.s3
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_process_pools_have_the_credentials(method, ceph):
    """On a server that looks at them."""
    bucket = ceph.fresh()
    store = opened(bucket)
    store.write("k", b"x")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        futures = [pool.submit(spawned.work, store, f"w{number}") for number in range(6)]
        found = [future.result(DEADLINE) for future in futures]
        tracked = [
            pool.submit(spawned.track, {"url": bucket.url, "options": bucket.storage_options}, f"r{number}")
            for number in range(3)
        ]
        assert [future.result(DEADLINE) for future in tracked] == ["succeeded"] * 3
    assert [data for _, data in found] == [b"w%d" % number for number in range(6)]
    assert os.getpid() not in {pid for pid, _ in found}
    store.close()


def test_a_pickle_shows_no_secret(bucket):
    options = {**bucket.storage_options, "key": "AKIAHIDDEN", "secret": "hidden-4711", "token": "hidden-4712"}
    data = pickle.dumps(S3Store.open(bucket.url, options))
    assert b"hidden" not in data
    assert b"AKIAHIDDEN" not in data
    again = pickle.loads(data)
    assert pickle.loads(pickle.dumps(again)).url == bucket.url
    assert "hidden" not in repr(again)


READ = """
import pickle, sys
store = pickle.load(open(sys.argv[1], "rb"))
print(store.read("k"))
"""


@pytest.mark.parametrize("environ", [{}, {"AWS_ACCESS_KEY_ID": "own", "AWS_SECRET_ACCESS_KEY": "own"}])
def test_a_pickle_that_somebody_else_reads_has_no_credentials(environ, bucket, bare, tmp_path):
    bucket.raw_write("k", b"there")
    store = opened(bucket)
    assert store.read("k") == b"there"
    (tmp_path / "pickle").write_bytes(pickle.dumps(store))
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path / "pickle"],
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true", **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    if environ:
        assert done.stdout.strip() == "b'there'", done.stderr
    else:
        assert CredentialsError.__name__ in done.stderr
        assert done.returncode == 1
    assert "labsecret" not in done.stdout + done.stderr
    store.close()
