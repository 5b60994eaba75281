"""Read-only, full, layered and poor file systems, and processes that are killed while they write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from molexp.errors import (
    KeyExistsError,
    KeyNotFoundError,
    ReadOnlyError,
    StorageFullError,
)
from molexp_fs import LocalStore
from tests import warm
from tests.stores.local import linux, names

# ------------------------------------------------------------------------------------------------------- file systems

CHILD = """
import json, os, sys
from hashlib import sha256
from pathlib import Path
from molexp.errors import *
from molexp_fs import LocalStore
lab = LocalStore.open(sys.argv[1], {})
said = {}
def attempt(name, act):
    try:
        act()
        said[name] = "done"
    except Exception as error:
        said[name] = type(error).__name__
def stream(key, data, **how):
    with lab.open_write(key, **how) as sink:
        for start in range(0, len(data), 1000):
            sink.write(data[start:start + 1000])
"""


def _mounted(tmp_path: Path, mounting: str, script: str) -> dict[str, Any]:
    """Run `script` in a mount namespace of its own, where `mounting` has put something on ``$LAB``."""
    folder = tmp_path / "mount"
    folder.mkdir()
    command = f'set -e\nmount --make-rprivate /\n{mounting}\nexec "$@"'
    environment = {**os.environ, "LAB": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    child = [sys.executable, "-c", f"{CHILD}\n{textwrap.dedent(script)}\nprint(json.dumps(said))", str(folder)]
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting needs root on Linux")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, "sh", *child],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr or "losetup:" in done.stderr or "not found" in done.stderr:
        pytest.skip(f"mounting is refused here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_a_read_only_file_system(tmp_path):
    source = tmp_path / "source"
    LocalStore.open(str(source), {}).write("a/x", b"1")
    said = _mounted(
        tmp_path,
        f'mount --bind "{source}" "$LAB"; mount -o remount,bind,ro "$LAB"',
        """
        for name, act in {
            "create": lambda: lab.create("a/y", b""),
            "create deep": lambda: lab.create("b/c/y", b""),
            "write": lambda: lab.write("a/x", b"2"),
            "append": lambda: lab.append("a/x", b"2"),
            "open_append": lambda: lab.open_append("a/x"),
            "delete": lambda: lab.delete("a/x"),
            "rename": lambda: lab.rename("a/x", "a/y"),
            "stream": lambda: stream("a/y", b"1"),
        }.items():
            attempt(name, act)
        said["read"] = lab.read("a/x").decode()
        said["leftovers"] = [*lab.leftovers(older_than=-1)]
        """,
    )
    assert said.pop("read") == "1"
    assert said.pop("leftovers") == []
    assert len(said) == 8
    assert set(said.values()) == {ReadOnlyError.__name__}


def test_a_full_disk_damages_nothing_and_leaves_nothing(tmp_path):
    said = _mounted(
        tmp_path,
        'mount -t tmpfs -o size=64k none "$LAB"',
        """
        lab.create("a/x", b"old")
        lab.create("a/log", b"line\\n")
        big = b"x" * 100_000
        for name, act in {
            "create": lambda: lab.create("a/y", big),
            "write": lambda: lab.write("a/x", big),
            "append": lambda: lab.append("a/log", big),
            "stream": lambda: stream("a/x", big),
            "exclusive": lambda: stream("a/z", big, exclusive=True),
            "put_file": lambda: lab.put_file(Path(sys.executable), "a/y"),
        }.items():
            attempt(name, act)
        said["x"] = lab.read("a/x").decode()
        said["log"] = lab.read("a/log")[:5].decode()
        said["names"] = sorted(os.listdir(sys.argv[1] + "/a"))
        lab.delete("a/log")
        lab.create("a/afterwards", b"1")
        """,
    )
    assert said.pop("x") == "old"
    assert said.pop("log") == "line\n"
    assert said.pop("names") == ["log", "x"]
    assert len(said) == 6
    assert set(said.values()) == {StorageFullError.__name__}


def test_where_files_can_share_blocks_a_large_one_takes_no_space_of_its_own(tmp_path):
    """On XFS; a file that is small, or lies on another file system, is copied."""
    said = _mounted(
        tmp_path,
        f'truncate -s 320M "{tmp_path}/image"; mkfs.xfs -q "{tmp_path}/image"; mount -o loop "{tmp_path}/image" "$LAB"',
        f"""
        import molexp as me
        here, there, size = Path(sys.argv[1]), Path({str(tmp_path)!r}), 8 << 20
        data = os.urandom(size)
        for folder in (here, there):
            (folder / "source").write_bytes(data)
        lab = LocalStore.open(str(here / "lab"), {{}})
        lab.put_file(there / "source", "a/elsewhere")
        exp = me.Workspace(here / "ws").Project("metals").Experiment("cu")
        run = exp.Run(id="one")
        ctx = run.start().__enter__()

        def free():
            os.sync()
            found = os.statvfs(here)
            return found.f_bfree * found.f_bsize

        def taken(name, act):
            before, told = free(), []
            path = act(told.append)
            said[name] = [before - free() > size // 2, path.read_bytes() == data, sum(told)]

        def put(progress):
            lab.put_file(here / "source", "a/x", progress=progress)
            return lab.local_path("a/x")

        def get(progress):
            lab.get_file("a/elsewhere", here / "fetched", progress=progress)
            return here / "fetched"

        taken("put_file", put)
        taken("get_file", get)
        taken("import", lambda told: exp.data_assets.import_asset("data", here / "source", progress=told).path)
        taken("save", lambda _: ctx.artifact.save("saved.bin", here / "source").path)
        taken("download", lambda told: run.asset("saved.bin").download(here / "downloaded", progress=told))
        ctx.__exit__(None, None, None)
        (here / "source").write_bytes(b"other")
        said["hashes"] = [run.asset(name).content_hash.endswith(sha256(data).hexdigest()) for name in ("saved.bin", "data")]
        said["changed"] = run.asset("saved.bin").read_bytes() == data
        taken("sync", lambda _: me.sync_workspace(me.Workspace(here / "ws"), here / "copy") and me.Workspace(here / "copy").run("metals/cu/one").asset("saved.bin").path)
        taken("from elsewhere", lambda _: lab.put_file(there / "source", "a/again") or lab.local_path("a/again"))
        """,
    )
    size = 8 << 20
    assert said.pop("hashes") == [True, True]
    assert said.pop("changed") is True, "whatever is written to the source afterwards"
    assert said.pop("from elsewhere") == [True, True, 0]
    assert said == {
        "put_file": [False, True, size],
        "get_file": [False, True, size],
        "import": [False, True, size],
        "save": [False, True, 0],
        "download": [False, True, size],
        "sync": [False, True, 0],
    }


def test_an_overlay_as_in_a_container(tmp_path):
    """A file of the lower layer is copied when it is first changed, which must not look as if it was replaced."""
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    lower = LocalStore.open(str(tmp_path / "lower"), {})
    lower.write("a/x", b"1")
    lower.write("a/y", b"1")
    said = _mounted(
        tmp_path,
        f'cd "{tmp_path}"; mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none "$LAB"; cd /',
        """
        for name, act in {
            "append": lambda: lab.append("a/x", b"2"),
            "create": lambda: lab.create("a/z", b"1"),
            "create again": lambda: lab.create("a/y", b"2"),
            "rename": lambda: lab.rename("a/y", "b/y"),
            "append to renamed": lambda: lab.append("b/y", b"2"),
            "stream": lambda: stream("a/x", b"new"),
        }.items():
            attempt(name, act)
        said["keys"] = {stat.key: lab.read(stat.key).decode() for stat in lab.list()}
        """,
    )
    assert said.pop("create again") == KeyExistsError.__name__
    assert said.pop("keys") == {"a/x": "new", "a/z": "1", "b/y": "12"}
    assert set(said.values()) == {"done"}
    assert lower.read("a/x") == b"1"


def test_fat_has_neither_links_nor_case(tmp_path):
    image = tmp_path / "fat"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    said = _mounted(
        tmp_path,
        f'mkfs.vfat "{image}" >/dev/null; mount -o loop "{image}" "$LAB"',
        """
        lab.create("a/x", b"1")
        for name, act in {
            "create": lambda: lab.create("a/y", b"1"),
            "create again": lambda: lab.create("a/y", b"2"),
            "other case": lambda: lab.create("A/Y", b"2"),
            "write": lambda: lab.write("a/x", b"2"),
            "append": lambda: lab.append("a/x", b"3"),
            "stream": lambda: stream("a/z", b"1", exclusive=True),
            "stream again": lambda: stream("a/z", b"2", exclusive=True),
            "rename": lambda: lab.rename("a/x", "b/x"),
            "rename to taken": lambda: lab.rename("b/x", "a/y"),
            "rename to other case": lambda: lab.rename("b/x", "b/X"),
            "append to renamed": lambda: lab.append("a/x", b"3"),
        }.items():
            attempt(name, act)
        said["names"] = sorted(stat.key for stat in lab.list())
        said["x"] = lab.read("b/x").decode()
        said["leftovers"] = [*lab.leftovers(older_than=-10)]
        """,
    )
    exists, missing = KeyExistsError.__name__, KeyNotFoundError.__name__
    assert said == {
        "create": "done",
        "create again": exists,
        "other case": exists,
        "write": "done",
        "append": "done",
        "stream": "done",
        "stream again": exists,
        "rename": "done",
        "rename to taken": exists,
        "rename to other case": exists,
        "append to renamed": missing,
        "names": ["a/y", "a/z", "b/x"],
        "x": "23",
        "leftovers": [],
    }


# ------------------------------------------------------------------------------------------------------------- deaths

DYING = """
import os, signal, sys
from molexp_fs import LocalStore
lab = LocalStore.open(sys.argv[1], {})
lab.write("a", b"old")
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[2], die)
exec(sys.argv[3])
"""


@linux
@pytest.mark.parametrize(
    ("at", "doing", "leaves"),
    [
        ("replace", "lab.write('a', b'new')", 1),
        ("link", "lab.create('b', b'new')", 0),
        ("fsync", "lab.durability = 'end'; lab.sync(['a'])", 0),
        ("replace", "\nwith lab.open_write('a') as sink: sink.write(b'new')", 1),
        ("link", "\nwith lab.open_write('b', exclusive=True) as sink: sink.write(b'new')", 1),
    ],
)
def test_a_process_that_is_killed_leaves_the_old_value_and_at_most_a_leftover(lab, at, doing, leaves):
    done = subprocess.run([sys.executable, "-c", DYING, lab.url, at, doing], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {stat.key: lab.read(stat.key) for stat in lab.list()} == {"a": b"old"}
    assert len(list(lab.leftovers(older_than=-60))) == leaves
    assert list(lab.leftovers(older_than=3600)) == [], "they may be in use"
    assert lab.remove_leftovers(older_than=3600) == 0
    assert lab.remove_leftovers(older_than=-60) == leaves
    assert names(lab) == {"a"}


WRITING = """
import itertools, sys
from molexp_fs import LocalStore
lab = LocalStore.open(sys.argv[1], {})
for number in itertools.count():
    data = b"%08d" % number * 20_000
    lab.write("hot", data)
    lab.create(f"cold/{number % 50}-{number}", data)
    with lab.open_write("stream") as sink:
        sink.write(data[:80_000])
        sink.write(data[80_000:])
    print(number, flush=True)
"""


def _kill_while_writing(lab: LocalStore, rounds: int) -> None:
    with warm.Popen([sys.executable, "-c", WRITING, lab.url], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(rounds):
            assert writer.stdout.readline()
        writer.kill()
    for stat in lab.list():
        data = lab.read(stat.key)
        assert len(data) == 160_000
        assert data == data[:8] * 20_000
    lab.remove_leftovers(older_than=-60)
    assert not [name for name in names(lab) if ".tmp-" in name]


def test_a_process_killed_while_it_writes_leaves_whole_values(lab):
    for rounds in (1, 7):
        _kill_while_writing(lab, rounds)
        for stat in list(lab.list("cold")):
            lab.delete(stat.key)


@pytest.mark.soak
def test_many_processes_killed_while_they_write_leave_whole_values(tmp_path):
    for rounds in range(33):
        lab = LocalStore.open(tempfile.mkdtemp(dir=tmp_path), {})
        _kill_while_writing(lab, 1 + rounds % 11)
