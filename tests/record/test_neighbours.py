"""Other users of the machine: nothing of theirs is believed or sent, and nothing of ours is theirs to read."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import molexp as me
from tests import warm
from tests.crash.test_namespaces import CONTAINER, refused
from tests.record.helpers import Place
from tests.servers.fixtures import moto

__all__ = ["moto"]

NOT_THE_FIRST = ("sh", "-c", '"$@"; exit', "sh")  # the first process of a namespace cannot kill itself
STRANGER = 65534
SECRET = b"only its owner may read this"
RUN = "projects/metals/experiments/cu/runs/one"
WORK = """
import json, os, signal, sys
import molexp as me
exp = me.Workspace(sys.argv[1], storage_options=json.loads(sys.argv[2])).Project("metals").Experiment("cu")
"""

as_root = pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="NO SECOND USER WITHOUT ROOT")


@pytest.fixture
def place(moto) -> Place:
    bucket = moto.fresh()
    return Place(bucket.url, bucket.storage_options)


@pytest.fixture
def spool(tmp_path, monkeypatch) -> Path:
    """The folder of this machine's spools, by the variable."""
    folder = Path(tmp_path / "spool")
    monkeypatch.setenv("MOLEXP_SPOOL_DIR", str(folder))
    return folder


@pytest.fixture
def tmp(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files, where spools lie that have no other place; everybody may write there."""
    folder = Path(tmp_path / "tmp")
    folder.mkdir()
    folder.chmod(0o1777)
    reachable(folder)
    monkeypatch.delenv("MOLEXP_SPOOL_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def reachable(folder: Path) -> None:
    """Let other users come as far as this."""
    for above in folder.parents:
        if above.stat().st_uid == os.getuid() and not above.stat().st_mode & stat.S_IXOTH:
            above.chmod(0o711)


def as_stranger(work: Callable[[], Any]) -> None:
    """Do something as another user."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            work()
        except BaseException:  # noqa: BLE001 - a forked child must not come back
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def work(place: Place, code: str, *prefix: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Execute code in a process of its own."""
    return warm.run(
        [*prefix, sys.executable, "-c", WORK + dedent(code), place.url, json.dumps(place.options)],
        capture_output=True,
        text=True,
        check=check,
        timeout=300,
    )


def killed(place: Place, code: str = 'ctx = exp.Run(id="one").start(); ctx.set_result("x", 1)', *prefix: str) -> None:
    work(place, code + "\nos.kill(os.getpid(), signal.SIGKILL)", *prefix, check=False)


def spools(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("**/spool") if path.is_file())


def forge(folder: Path, head: dict[str, Any], *payloads: dict[str, Any]) -> None:
    """Put a spool where spools lie."""
    folder.mkdir(parents=True)
    lines = ["H" + json.dumps(head), *("P" + json.dumps(one) for one in payloads)]
    (folder / "spool").write_text("\n".join(lines) + "\n")
    (folder / "spool").chmod(0o600)


def head_for(place: Place, **more: Any) -> dict[str, Any]:
    document = {
        "schema": 1,
        "run": "metals/cu/one",
        "attempt": 1,
        "segments": f"{RUN}/executions/1.s",
        "writer": "w",
        "url": place.store.url,
        "locked": True,
    }
    return {**document, **more}


def payload(key: str, *, exclusive: bool = False) -> dict[str, Any]:
    return {"file": 1, "key": key, "exclusive": exclusive, "grows": False}


def of_workspace(base: Path, place: Place) -> Path:
    host = subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()
    return base / host / sha256(place.store.url.encode()).hexdigest()[:16]


def unchanged(place: Place, do: Callable[[], Any]) -> None:
    """Check that the record gained and changed nothing but what belongs to the run `two` and its process's provenance."""
    before = {key: data for key, data in place.everything().items() if not key.startswith(".molexp/")}
    do()
    after = {key: data for key, data in place.everything().items() if not key.startswith(".molexp/")}
    two = {key for key in after.keys() - before.keys() if "/runs/two/" in key or key.startswith("provenance/")}
    assert {key: data for key, data in after.items() if key not in two} == before


# ------------------------------------------------------------------------------------------------- what others put there


@as_root
def test_what_another_user_put_among_the_temporary_files_is_neither_sent_nor_used(place, tmp, tmp_path):
    with place.workspace().Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        ctx.set_result("x", 1)
    private = tmp_path / "id_rsa"
    private.write_bytes(SECRET)
    private.chmod(0o600)
    base = tmp / f"molexp-spool-{os.getuid()}"
    shutil.rmtree(base)

    def plant() -> None:
        folder = of_workspace(base, place) / "x"
        forge(folder, head_for(place), payload(f"{RUN}/artifacts/stolen"), payload(f"{RUN}/run.json"))
        (folder / "1").symlink_to(private)

    as_stranger(plant)
    unchanged(place, lambda: work(place, 'exp.Run(id="two").start().finish()'))

    assert not any(SECRET in data for data in place.everything().values())
    assert spools(base)  # his are left alone
    named = [finding.what for finding in place.load().fsck(repair=True).findings if finding.key.startswith(str(base))]
    assert len(named) == 1
    assert f"it belongs to user {STRANGER}" in named[0]


@as_root
def test_where_another_user_took_the_name_ours_lies_under_another_one(place, tmp):
    as_stranger((tmp / f"molexp-spool-{os.getuid()}").mkdir)
    with place.workspace().Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        ctx.set_result("x", 1)
        (folder,) = spools(tmp)
        assert [path.stat().st_uid for path in (folder, folder / "spool")] == [os.getuid()] * 2
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@as_root
def test_it_is_found_there_by_a_later_process(place, tmp, monkeypatch):
    as_stranger((tmp / f"molexp-spool-{os.getuid()}").mkdir)
    monkeypatch.setenv("TMPDIR", str(tmp))
    killed(place)
    assert len(spools(tmp)) == 1

    assert place.load().run("metals/cu/one").results == {"x": 1}
    assert not spools(tmp)


@as_root
def test_a_spool_that_another_user_put_into_our_folder_is_not_believed(place, spool):
    killed(place)
    (ours,) = spools(spool)
    spool.chmod(0o1777)
    for level in (ours.parent.parent, ours.parent, ours):
        level.chmod(0o777)
    reachable(spool)
    forged = ours.with_name("forged")
    as_stranger(lambda: forge(forged, head_for(place), payload(f"{RUN}/artifacts/x")))

    assert place.load().run("metals/cu/one").results == {"x": 1}
    unchanged(place, lambda: work(place, 'exp.Run(id="two")'))
    assert spools(spool) == [forged]
    assert [f.key for f in place.load().fsck().findings if "not believed" in f.what] == [f"{forged} (local spool)"]
    assert stat.S_IMODE(ours.parent.parent.stat().st_mode) == 0o700


def test_a_folder_that_is_named_for_spools_stays_as_open_as_it_is(place, spool):
    """It may be `/tmp`, and the user root; what is made in it is private."""
    spool.mkdir()
    spool.chmod(0o1777)
    killed(place)
    assert place.load().run("metals/cu/one").status == "interrupted"
    assert stat.S_IMODE(spool.stat().st_mode) == 0o1777
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.rglob("*") if path.is_dir()} == {0o700}


def test_what_lies_where_everybody_may_replace_it_is_not_believed(place, spool, tmp_path):
    killed(place)
    (ours,) = spools(spool)
    tmp_path.chmod(0o777)

    assert [f.key for f in place.load().fsck().findings if "may replace it" in f.what] == [f"{ours} (local spool)"]
    with pytest.raises(me.StoreError, match="MOLEXP_SPOOL_DIR"):
        place.workspace().Project("metals").Experiment("cu").Run(id="two").start().set_result("x", 1)
    assert spools(spool) == [ours]


# -------------------------------------------------------------------------------------------------- what a spool may say


@pytest.fixture
def forged(place, spool) -> Iterator[Callable[..., Path]]:
    """Return a function that puts a spool with a head and payloads beside that of the living attempt at the run `one`."""
    ctx = place.workspace().Project("metals").Experiment("cu").Run(id="one").start()
    ctx.set_result("x", 1)
    ctx.flush()
    (ours,) = spools(spool)

    def forged(head: dict[str, Any], *payloads: dict[str, Any], content: bytes | None = SECRET) -> Path:
        folder = ours.with_name(f"forged{len([*ours.parent.iterdir()])}")
        forge(folder, head, *payloads)
        if payloads and content is not None:
            (folder / "1").write_bytes(content)
            (folder / "1").chmod(0o600)
        return folder

    yield forged
    ctx.finish()


def send(place: Place) -> list[str]:
    """Send what nobody holds; return the names of what is not sent, as often as it is named."""
    report = place.load().fsck(repair=True)
    named = [finding.key for finding in report.findings if "forged" in finding.key and not finding.done]
    return sorted(Path(key.removesuffix(" (local spool)")).name for key in named)


def refuses(place: Place, folders: list[Path]) -> None:
    """Check that nothing of these spools is sent, and that each of them is named and stays."""
    unchanged(place, lambda: send(place))
    assert send(place) == sorted(folder.name for folder in folders)
    assert [folder for folder in folders if not folder.exists()] == []


def test_what_a_writer_left_is_sent(place, forged):
    folder = forged(head_for(place), payload(f"{RUN}/artifacts/x", exclusive=True), content=b"content")

    assert send(place) == []
    assert place.store.read(f"{RUN}/artifacts/x") == b"content"
    assert not folder.exists()


OF_OURS = ["symbolic link", "hard link", "pipe", "writable by others"]


@pytest.mark.parametrize("kinds", [OF_OURS, pytest.param(["another user's"], marks=as_root)], ids=["ours", "another's"])
def test_a_payload_that_is_no_file_of_its_own_is_not_sent(place, forged, tmp_path, kinds):
    folders = []
    for number, kind in enumerate(kinds):
        folder = forged(head_for(place), payload(f"{RUN}/artifacts/stolen{number}"), content=None)
        folders.append(folder)
        private, file = tmp_path / f"id_rsa{number}", folder / "1"
        private.write_bytes(SECRET)
        if kind == "symbolic link":
            file.symlink_to(private)
        elif kind == "hard link":
            os.link(private, file)
        elif kind == "pipe":
            os.mkfifo(file)
        else:
            file.write_bytes(SECRET)
            file.chmod(0o666)
        if kind == "another user's":
            file.chmod(0o600)
            os.chown(file, STRANGER, -1)

    refuses(place, folders)


def test_lines_that_are_no_file_of_their_own_are_not_read(place, forged, tmp_path):
    folders = []
    for number, kind in enumerate(OF_OURS):
        folder = forged(head_for(place), payload(f"{RUN}/artifacts/stolen{number}"))
        folders.append(folder)
        lines, elsewhere = folder / "spool", tmp_path / f"elsewhere{number}"
        if kind == "symbolic link":
            lines.rename(elsewhere)
            lines.symlink_to(elsewhere)
        elif kind == "hard link":
            os.link(lines, elsewhere)
        elif kind == "pipe":
            lines.unlink()
            os.mkfifo(lines)
        else:
            lines.chmod(0o666)

    refuses(place, folders)


def test_a_payload_goes_below_its_attempt_and_nowhere_else(place, forged):
    elsewhere = [
        (f"{RUN}/run.json", False),
        (f"{RUN}/executions/1.jsonl", False),
        (f"{RUN}/executions/2.end.json", True),
        (f"{RUN}/edits/20260101-000000-000000-00000000.json", True),
        ("projects/metals/experiments/cu/runs/other/artifacts/x", True),
        ("workspace.json", False),
        ("settings/1.json", True),
        ("provenance/" + sha256(b"something else").hexdigest() + ".json", True),
        ("provenance/" + sha256(SECRET).hexdigest() + ".json", False),
        (f"{RUN}/artifacts/../run.json", False),
        (f"{RUN}/artifacts/", True),
        ("../outside", True),
    ]
    refuses(place, [forged(head_for(place), payload(key, exclusive=exclusive)) for key, exclusive in elsewhere])


def test_a_head_that_no_writer_wrote_is_not_believed(place, forged):
    heads: list[dict[str, Any]] = [
        {"url": "s3://another/workspace"},
        {"run": "metals/cu"},
        {"run": "metals/cu/../../x"},
        {"attempt": 0},
        {"attempt": "1"},
        {"segments": "settings"},
        {"segments": f"{RUN}/executions/2.s"},
        {"writer": "../../../../../workspace"},
        {"writer": 7},
    ]
    folders = [forged(head_for(place, **more)) for more in heads]
    for folder in folders:
        with (folder / "spool").open("a") as lines:
            lines.write('E{"type":"result","name":"forged","value":1}\n')

    refuses(place, folders)


# ------------------------------------------------------------------------------------------------ who is dead lets it go


@pytest.mark.skipif(bool(why := refused()), reason=f"PID namespaces are refused: {why}")
def test_what_a_container_left_is_sent_by_the_first_that_lists_runs_in_the_next_one(place, spool):
    killed(place, 'ctx = exp.Run(id="one").start(); ctx.set_result("x", 1)', *CONTAINER, *NOT_THE_FIRST)
    assert len(spools(spool)) == 1

    listed = [(row.status, row.results) for row in place.load().catalog.runs()]
    assert listed == [("interrupted", {"x": 1})]
    assert not spools(spool)


# ----------------------------------------------------------------------------------------------- what is ours is private


def modes(folder: Path) -> dict[str, int]:
    found = {}
    for path in [folder, *folder.rglob("*")]:
        with suppress(FileNotFoundError):  # a spool is emptied meanwhile
            found[str(path.relative_to(folder))] = stat.S_IMODE(path.lstat().st_mode)
    return found


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_index_and_spool_are_private_whatever_the_umask_is(place, spool, tmp_path, monkeypatch, open_umask):
    cache = tmp_path / "new" / "cache"
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(cache))
    with place.workspace().Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        ctx.log("train").append("line")
        ctx.artifact.save("x", b"x")
        found = modes(spool)
        assert {mode for name, mode in found.items() if (spool / name).is_dir()} == {0o700}
        assert {mode for name, mode in found.items() if not (spool / name).is_dir()} == {0o600}
    place.load().catalog.runs()
    me.sync_workspace(me.Workspace(str(tmp_path / "a")).materialize(), str(tmp_path / "b"))

    found = modes(cache)
    files = {name for name in found if name.endswith(".sqlite3")}
    assert len(files) == 2
    assert {found[name] for name in files} == {0o600}
    assert {mode for name, mode in found.items() if (cache / name).is_dir() and name != "."} == {0o700}


def test_an_index_that_others_can_read_is_taken_back(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(cache))
    with me.Workspace(str(tmp_path / "lab")).Project("p").Experiment("e").Run().start():
        pass
    me.Workspace(str(tmp_path / "lab")).catalog.runs()
    (index,) = cache.glob("*/*.sqlite3")
    index.chmod(0o644)
    index.parent.chmod(0o755)

    assert len(me.Workspace(str(tmp_path / "lab")).catalog.runs()) == 1
    assert (stat.S_IMODE(index.stat().st_mode), stat.S_IMODE(index.parent.stat().st_mode)) == (0o600, 0o700)


@as_root
@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_an_index_that_is_another_users_is_not_used(tmp_path, monkeypatch, what):
    cache = tmp_path / "cache"
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(cache))
    with me.Workspace(str(tmp_path / "lab")).Project("p").Experiment("e").Run().start():
        pass
    me.Workspace(str(tmp_path / "lab")).catalog.runs()
    (index,) = cache.glob("*/*.sqlite3")
    elsewhere = tmp_path / "elsewhere.sqlite3"
    if what == "link":
        shutil.move(index, elsewhere)
        index.symlink_to(elsewhere)
    os.chown(index if what != "folder" else index.parent, STRANGER, -1, follow_symlinks=False)

    workspace = me.Workspace(str(tmp_path / "lab"))
    assert len(workspace.catalog.runs()) == 1
    assert (index if what == "file" else index.parent).stat().st_uid == (STRANGER if what != "link" else 0)
