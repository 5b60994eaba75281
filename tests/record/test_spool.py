"""Acknowledged data that has not reached the store lies in a spool of this machine, whatever becomes of the process."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

import molexp as me
from molexp.contracts import AssetKind, NoFields
from molexp.errors import KeyExistsError, StoreError, UnavailableError
from molexp.hookspecs import hookimpl
from tests import warm
from tests.record.helpers import Place
from tests.servers.fixtures import moto, proxied
from tests.servers.proxy import Proxy

__all__ = ["moto", "proxied"]

IMPATIENT = {"retry_timeout": 0.5}
RUN = "projects/metals/experiments/cu/runs/one"


@pytest.fixture(autouse=True)
def spool(tmp_path, monkeypatch):
    folder = tmp_path / "spool"
    monkeypatch.setenv("MOLEXP_SPOOL_DIR", str(folder))
    return folder


def spools(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*/*") if path.is_dir()]


@pytest.fixture
def behind(moto, proxied):
    """A workspace on a server, and the proxy before it."""
    bucket, proxy = proxied(moto.fresh())
    return Place(bucket.url, bucket.storage_options), proxy


@pytest.fixture
def lossy(behind):
    """The same, for whoever does not wait long until the network is back."""
    place, proxy = behind
    return Place(place.url, {**place.options, **IMPATIENT}), proxy


WORK = """
import json, os, signal, sys, time
import molexp as me
exp = me.Workspace(sys.argv[1], storage_options=json.loads(sys.argv[2])).Project("metals").Experiment("cu")
"""


def work(place: Place, code: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Execute code in a process of its own."""
    return warm.run(
        [sys.executable, "-c", WORK + dedent(code), place.url, json.dumps(place.options)],
        capture_output=True,
        text=True,
        check=check,
        timeout=300,
    )


def killed(behind: tuple[Place, Proxy], code: str) -> None:
    """Execute code in a process that is killed then; the server has done whatever that one asked for."""
    place, proxy = behind
    with proxy.settling():
        done = work(place, code + "\nos.kill(os.getpid(), signal.SIGKILL)", check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


RECORDS = """
ctx = exp.Run(id="one").start()
ctx.set_result("loss", 0.5)
ctx.metrics.log(step=1, loss=0.5)
ctx.log("train").append("one line")
ctx.shell(["sh", "-c", "echo found; echo warned >&2"])
ctx.log("shell").append("and told")
ctx.artifact.save("small.json", {"x": 1})
ctx.artifact.save("large.bin", b"x" * (3 << 20))
"""


def test_what_was_recorded_survives_the_death_of_the_process(behind, spool):
    place, _ = behind
    killed(behind, RECORDS.replace("start()", "start(capture=True)") + 'print("printed", flush=True)')

    run = place.load().run("metals/cu/one")

    assert run.status == "interrupted"
    assert run.results == {"loss": 0.5}
    assert run.logs["train"].text() == "one line\n"
    assert run.logs["shell"].text() == "found\nand told\n"
    assert run.logs["shell.err"].text() == "warned\n"
    assert run.logs["stdout"].text() == "printed\n"
    assets = {asset.name: asset for asset in place.load().catalog.assets()}
    assert assets["small.json"].load() == {"x": 1}
    assert assets["large.bin"].read_bytes() == b"x" * (3 << 20)
    assert assets["metrics"].load()[0]["loss"] == 0.5
    assert not spools(spool)


@pytest.mark.parametrize("first", ["writes elsewhere", "lists"])
def test_any_later_process_of_the_machine_brings_it(behind, spool, first):
    place, _ = behind
    killed(behind, RECORDS)
    assert len(spools(spool)) == 1

    if first == "lists":
        assert [row.status for row in place.load().catalog.runs()] == ["interrupted"]
    else:
        work(place, 'exp.Run(id="two")')

    assert not spools(spool)
    assert place.store.exists(f"{RUN}/executions/1.end.json")
    assert place.store.exists(f"{RUN}/artifacts/large.bin")


def test_a_run_keeps_computing_while_the_network_is_away(lossy, spool):
    place, proxy = lossy
    exp = place.workspace().Project("metals").Experiment("cu")
    with exp.Run(id="one").start() as ctx:
        proxy.down()
        ctx.set_result("loss", 0.5)
        ctx.log("train").append("one line")
        ctx.artifact.save("a.json", {"x": 1})
        ctx.artifact.save("a.json", {"x": 2})
        assert ctx.artifact.load("a.json") == {"x": 2}
        assert ctx.log("train").text() == "one line\n"
        with pytest.raises(UnavailableError):
            ctx.flush()
        ctx.set_result("more", 1)
        proxy.up()

    run = place.load().run("metals/cu/one")
    assert (run.status, run.results) == ("succeeded", {"loss": 0.5, "more": 1})
    assert run.logs["train"].text() == "one line\n"
    assert place.document(f"{RUN}/artifacts/a.json") == {"x": 2}
    assert not spools(spool)


def test_a_run_on_disk_gives_signs_of_life_while_the_network_of_another_run_is_away(behind, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLEXP_LEASE_BEAT", "0.02")
    place, proxy = behind
    place = Place(place.url, {**place.options, "retry_timeout": 600.0})
    away = place.workspace().Project("metals").Experiment("cu").Run(id="one").start()
    proxy.down()
    with me.Workspace(tmp_path / "lab").Project("metals").Experiment("cu").Run(id="one").start():
        seen: set[bytes] = set()
        until = time.monotonic() + 300  # less than what the requests of the other are repeated for
        while len(seen) < 10 and time.monotonic() < until:
            seen |= {lease.read_bytes() for lease in (tmp_path / "lab/.molexp/live").glob("*~1")}
            time.sleep(0.02)
    proxy.up()
    away.finish()
    assert len(seen) == 10


class Notes(AssetKind[dict[str, str], NoFields]):
    name, payload = "notes", "folder"

    def save(self, obj, sink):
        raise NotImplementedError

    def load(self, source):
        raise NotImplementedError


class Notebooks:
    @hookimpl
    def molexp_register_asset_kinds(self):
        return [Notes]


def test_a_folder_is_saved_while_the_network_is_away(lossy, spool):
    """The store is asked for nothing, and has all of it later."""
    place, proxy = lossy
    plugins = me.PluginManager(extra=[Notebooks()])
    with place.workspace(plugins=plugins).Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        proxy.down()
        with ctx[Notes].writing("notes") as folder:
            (folder / "a").write_text("1")
            (folder / "b").write_text("2")
        proxy.up()

    asset = place.load().run("metals/cu/one").asset("notes")
    assert asset.size == 2
    assert [(stat.key, stat.size) for stat in place.store.list(asset.key)] == [(f"{asset.key}/{n}", 1) for n in "ab"]
    assert not spools(spool)


LONG_AFTER = (
    "clock = time.clock_gettime; time.clock_gettime = lambda which: clock(which) + 1e5; raise ValueError('ours')"
)
"""As if the network had been away for long: whoever looks may have taken the run for dead by now."""


@pytest.mark.parametrize(("left_by", "status"), [("pass", "succeeded"), (LONG_AFTER, "failed")])
def test_a_run_that_cannot_end_says_so_and_a_later_process_ends_it_as_it_ended(lossy, spool, moto, left_by, status):
    place, proxy = lossy
    direct = Place(place.url, {**place.options, "endpoint_url": moto.url})
    code = f"""
    with exp.Run(id="one").start() as ctx:
        ctx.set_result("loss", 0.5)
        ctx.artifact.save("a.json", {{"x": 1}})
        print("now", flush=True)
        sys.stdin.readline()
        {left_by}
    """
    child = warm.Popen(
        [sys.executable, "-c", WORK + dedent(code), place.url, json.dumps(place.options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "now\n"
    proxy.down()
    _, said = child.communicate("\n", timeout=300)

    assert child.returncode == 1
    assert "recorded is kept on this machine, and so is how it ended" in said
    assert len(spools(spool)) == 1
    run = direct.load().run("metals/cu/one")
    assert (run.status, run.results) == (status, {"loss": 0.5})
    assert direct.document(f"{RUN}/run.json")["status"] == status
    assert not spools(spool)


def test_of_a_run_that_was_deleted_nothing_comes_back(behind, spool):
    place, _ = behind
    killed(behind, RECORDS)
    for key in [stat.key for stat in place.store.list(RUN)]:
        place.store.delete(key)

    work(place, 'exp.Run(id="two")')

    assert not spools(spool)
    assert not [*place.store.list(RUN)]


def test_what_comes_after_somebody_else_ended_the_attempt_is_late_and_changes_nothing(behind, spool):
    place, _ = behind
    killed(behind, RECORDS)
    elsewhere = spool.rename(spool.with_name("elsewhere"))  # another machine does not see it
    assert place.load().run("metals/cu/one").status == "interrupted"
    before = place.load().run("metals/cu/one").results
    end = place.store.read(f"{RUN}/executions/1.end.json")

    elsewhere.rename(spool)
    work(place, 'exp.Run(id="two")')

    assert not spools(spool)
    assert place.store.read(f"{RUN}/executions/1.end.json") == end
    assert place.load().run("metals/cu/one").results == before == {}
    assert place.store.exists(f"{RUN}/artifacts/large.bin")


def test_a_torn_line_costs_that_line_alone(behind, spool):
    place, _ = behind
    killed(behind, RECORDS)
    (folder,) = spools(spool)
    with (folder / "spool").open("ab") as file:
        file.write(b'E{"type": "result", "name": "torn", "va')

    assert place.load().run("metals/cu/one").results == {"loss": 0.5}


@pytest.mark.parametrize("junk", [b"", b"junk\n", b"H\n", b"\xff\xfe\n"])
def test_a_spool_that_says_nothing_is_left_alone(behind, spool, junk):
    place, _ = behind
    killed(behind, RECORDS)
    (folder,) = spools(spool)
    other = folder.with_name("other")
    other.mkdir()
    (other / "spool").write_bytes(junk)

    assert place.load().run("metals/cu/one").results == {"loss": 0.5}
    work(place, 'exp.Run(id="two")')

    assert spools(spool) == [other]


def test_what_a_living_process_holds_is_left_to_it(behind, spool):
    place, _ = behind
    ctx = place.workspace().Project("metals").Experiment("cu").Run(id="one").start()
    ctx.set_result("x", 1)

    work(place, 'exp.Run(id="two")')
    assert len(spools(spool)) == 1
    ctx.finish()

    assert not spools(spool)


def test_without_a_folder_that_can_be_written_to_it_is_an_error_that_says_so(behind, tmp_path, monkeypatch):
    place, _ = behind
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOLEXP_SPOOL_DIR", str(tmp_path / "file" / "below"))
    ctx = place.workspace().Project("metals").Experiment("cu").Run(id="one").start()

    with pytest.raises(StoreError, match="MOLEXP_SPOOL_DIR"):
        ctx.set_result("x", 1)


def test_on_a_full_disk_the_error_names_the_file_and_the_variable_and_what_comes_later_is_kept(
    behind, spool, monkeypatch
):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place, _ = behind
    with place.workspace().Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        ctx.set_result("x", 1)
        with monkeypatch.context() as patched:
            patched.setattr("os.write", full)
            with pytest.raises(me.StorageFullError, match=f"for '{spool}/.*/spool' in .*MOLEXP_SPOOL_DIR sets another"):
                ctx.set_result("y", 2)
        ctx.set_result("z", 3)
    assert place.workspace().run("metals/cu/one").results == {"x": 1, "z": 3}


def test_without_a_home_it_lies_with_the_temporary_files(behind, tmp_path, monkeypatch):
    place, _ = behind
    monkeypatch.delenv("MOLEXP_SPOOL_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with place.workspace().Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        ctx.set_result("x", 1)
        assert [*tmp_path.glob("molexp-spool-*/*/*/*/spool")]

    assert not [*tmp_path.glob("molexp-spool-*/*/*/*/spool")]


def test_a_key_that_somebody_else_took_is_not_overwritten(behind):
    place, _ = behind
    ctx = place.workspace().Project("metals").Experiment("cu").Run(id="one").start()
    place.store.create(f"{RUN}/artifacts/a.txt", b"theirs")

    ctx.artifact.save("a.txt", "mine")
    with pytest.raises(KeyExistsError):
        ctx.flush()

    assert place.store.read(f"{RUN}/artifacts/a.txt") == b"theirs"
    place.store.delete(f"{RUN}/artifacts/a.txt")
    ctx.finish()
    assert place.store.read(f"{RUN}/artifacts/a.txt") == b"mine"


def test_fsck_names_what_waits_and_sends_it(behind, spool):
    place, _ = behind
    killed(behind, RECORDS)

    report = place.load(read_only=True).fsck()
    assert [finding.what for finding in report.findings if "wait here" in finding.what]
    repaired = place.load().fsck(repair=True)

    assert [finding.done for finding in repaired.findings if "wait here" in finding.what] == ["sent"]
    assert not spools(spool)
    assert place.load().fsck().ok


def test_two_that_find_it_at_the_same_time_do_no_harm(behind, spool):
    place, _ = behind
    killed(behind, RECORDS)
    code = 'print(exp.run("one").status)'
    children = [
        warm.Popen(
            [sys.executable, "-c", WORK + code, place.url, json.dumps(place.options)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]

    assert [child.communicate(timeout=300)[0].strip() for child in children] == ["interrupted"] * 4
    assert place.load().run("metals/cu/one").results == {"loss": 0.5}
    assert place.load().fsck().ok
    assert not spools(spool)


def test_the_graph_of_a_killed_workflow_is_sent_by_the_next_process(behind):
    killed(
        behind,
        dedent("""
        from molexp.workflow import WorkflowBuilder
        wf = WorkflowBuilder("relax")
        wf.add(lambda ctx: 1, name="build")
        wf.add(lambda ctx: os.kill(os.getpid(), signal.SIGKILL), name="energies", depends_on=["build"])
        wf.build().execute_sync(run=exp.Run(id="one"))
        """),
    )
    place, _ = behind
    ws = place.load()
    ws.fsck(repair=True)
    graph = ws.run("metals/cu/one").workflow_graph
    assert graph is not None
    assert [(task.name, task.status) for task in graph.tasks] == [("build", "succeeded"), ("energies", "interrupted")]
    assert ws.fsck(read_data=True).ok
