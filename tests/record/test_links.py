"""A workspace may be a stranger's: nothing outside of it is read, listed, written or deleted, and nothing is waited for."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

import molexp as me
from molexp_cli._main import run
from tests.cli.helpers import Done
from tests.record.helpers import DEADLINE, Place

EXPERIMENT = "projects/metals/experiments/cu"
RUN = f"{EXPERIMENT}/runs/one"
SECRET = os.urandom(8).hex()
"""A secret that nobody gets; provenance may have the text of this module, so it does not stand here."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="about Linux")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Make what a stranger would like to have, or gone: files with the names of derived ones, too."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "id_rsa").write_text(SECRET)
    (folder / "deep" / "more").write_text(SECRET + "too")
    for number in range(1, 21):
        (folder / f"train-{number}.jsonl").write_text("{}\n")
        (folder / f"{number}.json").write_text("{}\n")
        (folder / f"{number}-{'0' * 16}.sqlite3").write_text("")
        (folder / f"{number}-{'0' * 16}.jsonl").write_text("")
    return folder


@pytest.fixture
def stranger(lab: Place, lab_exp: me.Experiment) -> Path:
    """The folder of a workspace with two runs."""
    for name in ("one", "two"):
        with lab_exp.Run(id=name).start() as ctx:
            ctx.set_result("x", 1)
            ctx.artifact.save("a.txt", "ours")
    return lab.folder


@pytest.fixture
def molexp(
    tmp_path: Path, stranger: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Callable[..., Done]]:
    """The command line, in this process: it ends in time, and with a sentence if it fails."""
    monkeypatch.chdir(tmp_path)

    def molexp(*arguments: str) -> Done:
        capfdbinary.readouterr()
        code = run(["-w", "lab", *arguments])
        out, err = capfdbinary.readouterr()
        return Done(code, out.decode(), err.decode())

    with in_time():
        yield molexp


class HangsError(BaseException):
    """Nobody catches it on the way."""


@contextmanager
def in_time() -> Iterator[None]:
    """Whoever waits for a pipe is woken at the deadline."""

    def wake(*_: object) -> None:
        raise HangsError

    if not hasattr(signal, "SIGALRM"):  # Windows, which has no such pipes
        yield
        return
    before = signal.signal(signal.SIGALRM, wake)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def link(path: Path, target: Path) -> None:
    """Put a link in the place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))


def test_a_project_or_run_that_is_a_link_is_named_by_whoever_lists(stranger, molexp):
    """People put what is large on another disk, and a link in its place: they are told that it does not count."""
    shutil.copytree(stranger / "projects" / "metals", stranger.parent / "big")
    places = ("projects/big", f"{EXPERIMENT}/runs/three")
    link(stranger / places[0], stranger.parent / "big")
    link(stranger / places[1], stranger / RUN)
    for command in (("catalog", "verify"), ("catalog", "rebuild"), ("fsck",)):
        done = molexp(*command)
        assert done.code == 1
        assert all(f"{place}: it is a symbolic link" in done.out + done.err for place in places)
    assert set(me.Workspace(stranger).catalog.unreadable()) == set(places)
    for place in places:
        (stranger / place).unlink()
    assert molexp("runs", "list").code == molexp("catalog", "verify").code == 0


# ------------------------------------------------------------------------------------------- A1: derived folders

DERIVED = (".molexp", ".molexp/sealed", ".molexp/snapshots", ".molexp/journals", ".molexp/live")


@pytest.mark.parametrize("name", DERIVED)
def test_whoever_looks_at_a_strangers_workspace_touches_nothing_outside(stranger, outside, molexp, name):
    before = tree(outside)
    link(stranger / name, outside)
    for command in (("runs", "list"), ("show", "@latest"), ("catalog", "verify"), ("catalog", "rebuild"), ("fsck",)):
        done = molexp(*command)
        assert done.code in (0, 1), done.err
        assert command != ("runs", "list") or ("one" in done.out and "two" in done.out)
    assert f"{name}: it is a symbolic link" in molexp("fsck").out
    molexp("catalog", "compact")
    molexp("gc", "--no-dry-run")
    molexp("fsck", "--repair")
    assert tree(outside) == before


@pytest.mark.parametrize("name", DERIVED)
def test_whoever_writes_into_a_strangers_workspace_writes_nothing_outside(stranger, outside, name):
    before = tree(outside)
    link(stranger / name, outside)
    try:
        with me.Workspace(stranger).Project("metals").Experiment("cu").Run(id="three").start() as ctx:
            ctx.set_result("x", 2)
    except me.SpecialFileError as error:
        assert name in str(error)  # noqa: PT017 - a folder that a short run has no use for does not matter
    assert tree(outside) == before


# ---------------------------------------------------------------------------------- A7: pipes, devices, the whole disk

PIPES = {
    "workspace.json": "workspace.json",
    "settings": "settings/1.json",
    "project": "projects/metals/project.json",
    "experiment": f"{EXPERIMENT}/experiment.json",
    "run": f"{RUN}/run.json",
    "claim": f"{RUN}/executions/1.jsonl",
    "end": f"{RUN}/executions/1.end.json",
    "edit": f"{RUN}/edits/{'0' * 16}.json",
    "payload": f"{RUN}/artifacts/a.txt",
    "data": f"{EXPERIMENT}/data/d/1.json",
    "journal": f".molexp/journals/{'0' * 16}.jsonl",
    "sealed journal": f".molexp/sealed/{'0' * 16}.jsonl",
    "snapshot": ".molexp/snapshots/1.json",
    "lease": ".molexp/live/metals~cu~one~1",
}


@linux
@pytest.mark.parametrize("key", PIPES.values(), ids=PIPES.keys())
def test_nobody_waits_for_a_pipe(stranger, molexp, key):
    path = stranger / key
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    listed, checked = molexp("runs", "list"), molexp("fsck")
    molexp("show", "metals/cu/one")
    molexp("gc")
    if key == "workspace.json":
        assert listed.code != 0
        assert "'workspace.json' is a pipe" in listed.err
    else:
        assert "two" in listed.out
        assert f"{key}: it is a pipe" in checked.out + checked.err


def test_a_link_to_everything_is_a_link(stranger, molexp):
    """`/` would take hours, and a sync would send it."""
    link(stranger / RUN / "artifacts" / "deep", Path("/"))
    link(stranger / EXPERIMENT / "data" / "d" / ("0" * 16) / "deep", Path("/"))
    for command in (("fsck",), ("gc",), ("sync", "lab", "mirror", "--dry-run"), ("runs", "list")):
        done = molexp(*command)
        assert done.code == (1 if command[0] in ("fsck", "sync") else 0), done.err
    assert f"{RUN}/artifacts/deep: it is a symbolic link" in molexp("fsck").out


@linux
@pytest.mark.parametrize("target", ["/dev/zero", "../../../../../../../../outside/id_rsa"])
def test_an_artifact_that_is_a_link_is_not_got(stranger, outside, molexp, tmp_path, target):
    (stranger / RUN / "artifacts" / "a.txt").unlink()
    (stranger / RUN / "artifacts" / "a.txt").symlink_to(target)
    asset = me.Workspace(stranger).run("metals/cu/one").asset("a.txt")
    done = molexp("assets", "get", asset.id, "out")
    assert done.code != 0
    assert "'artifacts/a.txt' is a symbolic link" in done.err.replace(f"{RUN}/", "")
    assert not (tmp_path / "out").exists()
    for use in (asset.read_bytes, asset.load, asset.open, asset.local, lambda: asset.path):
        with pytest.raises(me.SpecialFileError, match="is a symbolic link"):
            use()


@linux
def test_what_lies_outside_is_read_as_far_as_was_recorded(lab, lab_exp, tmp_path):
    (tmp_path / "d").write_text("four")
    asset = lab_exp.data_assets.import_asset("d", tmp_path / "d", action="symlink")
    (tmp_path / "d").write_text("longer than it was")
    with pytest.raises(me.HashMismatchError, match="more than its 4 bytes"):
        asset.download(tmp_path / "out")
    (tmp_path / "d").unlink()
    (tmp_path / "d").symlink_to("/dev/zero")
    for use in (lambda: asset.download(tmp_path / "out"), asset.read_bytes, asset.open):
        with pytest.raises(me.SpecialFileError, match="is a device"):
            use()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["{outside}/x", "../../outside/x", "a\0b", "x" * 5000, ""])
def test_the_id_of_a_workspace_is_no_path(stranger, lab, outside, molexp, tmp_path, monkeypatch, name):
    """The index bears it in its name; where an index lies, the folder is made private, and old ones are removed."""
    old = outside / "old.sqlite3"
    old.write_bytes(b"mine")
    os.utime(old, (0, 0))
    outside.chmod(0o755)
    lab.change("workspace.json", id=name.format(outside=outside))
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "another"))
    before = tree(outside)
    for command in (["runs", "list"], ["catalog", "verify"], ["catalog", "compact"], ["fsck", "--read-data"]):
        assert molexp(*command).code == 0
    assert tree(outside) == before
    assert outside.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", ["../../../etc/passwd", "a\0b", "/etc/passwd", "x" * 5000, [1]])
def test_a_provenance_that_cannot_be_is_none(stranger, lab, molexp, name):
    lab.change(f"{RUN}/executions/1.end.json", provenance=name)
    assert lab.load().run("metals/cu/one").provenance is None
    assert molexp("show", "metals/cu/one").code == 0


# ----------------------------------------------------------------------------------- A11: syncs take nothing along


@pytest.mark.parametrize(
    "key",
    [
        "projects/big",
        f"{EXPERIMENT}/runs/three",
        f"{RUN}/artifacts/deep",
        f"{RUN}/artifacts/key",
        f"{RUN}/executions/1",
        f"{EXPERIMENT}/data/d",
        f"{EXPERIMENT}/data/d/{'0' * 16}/key",
        f"{EXPERIMENT}/edits",
        "somewhere/key",
    ],
)
def test_a_sync_takes_nothing_along_that_lies_behind_a_link(stranger, outside, molexp, tmp_path, key):
    link(stranger / key, outside / "id_rsa" if key.endswith("key") else outside)
    for _ in range(2):
        done = molexp("sync", "lab", "mirror")
        assert done.code == 1
        assert f"{key}: it is a symbolic link" in done.out + done.err
    copied = tree(tmp_path / "mirror")
    assert not any(SECRET.encode() in data for data in copied.values())
    assert not any("train" in name for name in copied)
    assert {run.id for run in me.Workspace(tmp_path / "mirror").catalog.runs()} == {"one", "two"}


def test_a_sync_writes_nothing_outside(stranger, outside, molexp, tmp_path):
    molexp("sync", "lab", "mirror")
    before = tree(outside)
    link(tmp_path / "mirror" / RUN, outside)
    link(tmp_path / "mirror" / EXPERIMENT / "runs" / "two" / "artifacts" / "a.txt", outside / "id_rsa")
    assert molexp("sync", "lab", "mirror", "--check").code == 1
    assert tree(outside) == before


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
def test_what_was_imported_by_a_link_is_synced_if_it_is_still_that(lab, lab_exp, tmp_path, folder):
    source = tmp_path / "d"
    inner = source / "inner" if folder else source
    inner.parent.mkdir(exist_ok=True)
    inner.write_text("data")
    lab_exp.data_assets.import_asset("d", source, action="symlink")
    report = me.sync_workspace(lab.url, tmp_path / "mirror")
    assert report.ok, report
    copy = me.Workspace(tmp_path / "mirror").project("metals").experiment("cu").data_assets["d"]
    assert (copy.path / "inner" if folder else copy.path).read_text() == "data"
    assert not copy.path.is_symlink()
    assert me.sync_workspace(lab.url, tmp_path / "mirror").counts["copied"] == 0
    inner.write_text("else")
    report = me.sync_workspace(lab.url, tmp_path / "other")
    assert (len(report.mismatches), len(report.unreadable)) == (1, 0), report
    assert not (tmp_path / "other" / EXPERIMENT / "data").exists()


@pytest.mark.parametrize("target", ["id_rsa", "", "deep"], ids=["file", "folder", "small folder"])
def test_a_forged_record_gets_nobody_a_file_that_it_does_not_know(lab, lab_exp, outside, tmp_path, target):
    """It says that the asset is external; what it cannot say is its hash."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "more").write_text("x" * len(f"{SECRET}too"))
    asset = lab_exp.data_assets.import_asset("d", tmp_path / "d", action="symlink")
    link(lab.folder / asset.key, outside / target)
    if target == "id_rsa":
        guess = f"sha256:{sha256(b'guessed').hexdigest()}"
        lab.change(f"{EXPERIMENT}/data/d/1.json", size=len(SECRET), content_hash=guess)
    report = me.sync_workspace(lab.url, tmp_path / "mirror")
    assert len(report.mismatches) == 1
    assert not any(SECRET.encode() in data for data in tree(tmp_path / "mirror").values())


@pytest.mark.parametrize(
    "recorded", [None, "md5:0", f"sha256-tree:{'0' * 64}"], ids=["no hash", "unknown", "other sort"]
)
def test_a_download_takes_nothing_from_outside_that_cannot_be_compared(lab, lab_exp, outside, tmp_path, recorded):
    (tmp_path / "d").write_text("data")
    asset = lab_exp.data_assets.import_asset("d", tmp_path / "d", action="symlink")
    link(lab.folder / asset.key, outside / "id_rsa")
    lab.change(f"{EXPERIMENT}/data/d/1.json", size=1 << 20, content_hash=recorded)
    forged, written = lab_exp.data_assets["d"], io.BytesIO()
    for use in (lambda: forged.download(tmp_path / "out"), lambda: forged.copy_to(written)):
        with pytest.raises(me.HashMismatchError):
            use()
    assert not (tmp_path / "out").exists()
    assert not written.getvalue()


def test_a_link_that_a_record_calls_internal_does_not_lead_out(lab, lab_exp, outside, tmp_path):
    (tmp_path / "d").write_text("data")
    first = lab_exp.data_assets.import_asset("first", tmp_path / "d")
    second = lab_exp.data_assets.import_asset("second", first, action="symlink")
    assert (second.external, second.source_key) == (False, first.key)
    assert second.read_bytes() == second.load().read_bytes() == b"data"
    link(lab.folder / second.key, outside / "id_rsa")
    with pytest.raises(me.SpecialFileError):
        second.read_bytes()
    report = me.sync_workspace(lab.url, tmp_path / "mirror")
    assert not report.ok
    assert not any(SECRET.encode() in data for data in tree(tmp_path / "mirror").values())


@pytest.mark.parametrize("action", ["symlink", "hardlink", "copy"])
def test_a_link_to_what_lies_outside_leads_outside(lab_exp, tmp_path, action):
    (tmp_path / "d").write_text("data")
    first = lab_exp.data_assets.import_asset("first", tmp_path / "d", action="symlink")
    second = lab_exp.data_assets.import_asset("second", first, action=action)
    assert second.external == (action != "copy")
    assert second.read_bytes() == second.download(tmp_path / "out").read_bytes() == b"data"


# ---------------------------------------------------------------------------------------- A11: downloads and their parts


def part(place: Path, asset: me.Asset) -> Path:
    """Return the file in which an interrupted download waits to be resumed."""
    digest = sha256(f"file://{place}\n{asset.id}".encode()).hexdigest()[:16]
    return Path(f".{Path(asset.key).name}.{digest}.part")


@pytest.mark.parametrize("damaged", [False, True], ids=["good", "damaged"])
@pytest.mark.parametrize("how", ["link", "mode", "file", "inner link"])
def test_a_download_uses_no_part_that_is_not_its_own(stranger, outside, molexp, tmp_path, how, damaged):
    asset = me.Workspace(stranger).run("metals/cu/one").asset("a.txt")
    (outside / "payload").write_text(SECRET)
    (outside / ".payload.part").write_text(SECRET)
    trap = tmp_path / part(stranger, asset)
    if how == "link":
        trap.symlink_to(outside)
    elif how == "file":
        trap.write_text("theirs")
    else:
        trap.mkdir(0o755 if how == "mode" else 0o700)
        (trap / "mine").write_text("theirs")
    if how == "inner link":
        (trap / "payload").symlink_to(outside / "id_rsa")
    before = tree(outside)
    if damaged:
        (stranger / RUN / "artifacts" / "a.txt").write_text("else")
    done = molexp("assets", "get", asset.id)
    assert tree(outside) == before
    assert (done.code != 0) == damaged, done.err
    assert (tmp_path / "a.txt").exists() != damaged
    if how in ("mode", "file"):
        assert trap.exists(), "it is none of ours to remove"


def test_a_download_replaces_a_link_and_not_what_it_leads_to(stranger, outside, molexp, tmp_path):
    asset = me.Workspace(stranger).run("metals/cu/one").asset("a.txt")
    (tmp_path / "a.txt").symlink_to(outside / "id_rsa")
    assert molexp("assets", "get", asset.id).code != 0
    asset.download(tmp_path / "a.txt", overwrite=True)
    assert (tmp_path / "a.txt").read_text() == "ours"
    assert not (tmp_path / "a.txt").is_symlink()
    assert (outside / "id_rsa").read_text() == SECRET
