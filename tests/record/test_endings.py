"""The way in which a process goes decides how its runs end: signals, exits without finishing, forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from textwrap import dedent

import pytest

import molexp as me
from tests.record.helpers import DEADLINE, suspend

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks of POSIX")

WAIT_FOR_A_SIGNAL = """
    import os, sys, signal, time, molexp as me
    for name in ("SIGHUP", "SIGINT", "SIGTERM"):  # whatever started the tests may ignore them
        signal.signal(getattr(signal, name), signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    run = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one")
    with run.start(capture=bool(os.environ.get("CAPTURE"))) as ctx:
        ctx.set_result("before", 1)
        ctx.artifact.save("a.txt", "kept")
        ctx.log("train").append("a line")
        ctx.metrics.log(loss=1.0)
        (ctx.workdir / "scratch").write_text("kept too")
        print("ready", ctx.workdir, file=sys.stderr, flush=True)
        os.write(int(os.environ["READY"]), b"!")
        while True:  # at work; signal.pause() would sleep through one that came just before it
            time.sleep(0.01)
    print("never")
"""


def signalled(lab, tmp_path, number, code=WAIT_FOR_A_SIGNAL, **environ):
    """Run code until it says that it is ready, send it a signal, and wait for its end."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "LAB": lab.url, "READY": str(writing), **environ},
        pass_fds=[writing],
    )
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"!", process.communicate(timeout=DEADLINE)
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        os.close(reading)
        process.kill()
        process.wait()
    return process.returncode, out, err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"])
def test_a_warning_ends_it_as_interrupted_with_everything_flushed(lab, tmp_path, name):
    number = getattr(signal, name)
    code, out, err = signalled(lab, tmp_path, number)

    assert code == 128 + number, err
    assert out == ""
    assert "Traceback" not in err
    run = lab.load().run("p/e/one")
    assert run.status == "interrupted"
    assert run.execution_history[0]["reason"] == f"received {name}"
    assert run.results == {"before": 1}
    assert run.asset("a.txt").load() == "kept"
    assert run.logs["train"].text() == "a line\n"
    assert [point["loss"] for point in run.asset("metrics").load()] == [1.0]
    assert run.asset("train").size == len("a line\n")
    workdir = run.execution_history[0]["workdir"]
    with open(os.path.join(workdir, "scratch"), encoding="utf-8") as kept:
        assert kept.read() == "kept too"


IN_AN_EVENT_LOOP = """
    import asyncio, os, molexp as me

    async def main():
        async with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start() as ctx:
            ctx.set_result("before", 1)
            os.write(int(os.environ["READY"]), b"!")
            await asyncio.sleep(3000)

    asyncio.run(main())
"""


TO_ANOTHER_THREAD = IN_AN_EVENT_LOOP.replace(
    "            os.write",
    """
            import signal, threading, time
            threading.Thread(target=time.sleep, args=[3000], daemon=True).start()
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])  # so the loop goes on sleeping
            os.write""",
)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize(
    "code",
    [
        pytest.param(IN_AN_EVENT_LOOP, id="async with"),
        pytest.param(IN_AN_EVENT_LOOP.replace("async with", "with"), id="with"),
        pytest.param(TO_ANOTHER_THREAD, id="to another thread"),
    ],
)
def test_a_warning_ends_it_as_interrupted_in_an_event_loop_too(lab, tmp_path, name, code):
    number = getattr(signal, name)
    returned, _, err = signalled(lab, tmp_path, number, code)

    assert returned == 128 + number, err
    run = lab.load().run("p/e/one")
    assert (run.status, run.results) == ("interrupted", {"before": 1})
    assert run.execution_history[0]["reason"] == f"received {name}"


def test_ctrl_c_ends_it_as_cancelled(lab, tmp_path):
    code, _, err = signalled(lab, tmp_path, signal.SIGINT)

    assert code in (-signal.SIGINT, 130, 1), err
    run = lab.load().run("p/e/one")
    assert run.status == "cancelled"
    assert run.results == {"before": 1}


def test_a_signal_while_its_output_is_captured(lab, tmp_path):
    code, _, err = signalled(lab, tmp_path, signal.SIGTERM, CAPTURE="1")

    assert code == 143, err
    run = lab.load().run("p/e/one")
    assert run.status == "interrupted"
    assert run.logs["stderr"].text().startswith("ready")
    assert err.startswith("ready"), "it is shown as well"


def test_without_a_run_a_signal_does_what_it_always_did(lab, tmp_path):
    code, _, _ = signalled(
        lab,
        tmp_path,
        signal.SIGTERM,
        """
        import os, signal, molexp as me
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start():
            pass
        os.write(int(os.environ["READY"]), b"!")
        while True:
            signal.sigtimedwait([], 0.01)
        """,
    )

    assert code == -signal.SIGTERM
    assert lab.load().run("p/e/one").status == "succeeded"


def test_a_handler_of_the_users_own_is_left_alone(script):
    done = script(
        """
        import os, signal, molexp as me
        mine = signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True)) and None
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start() as ctx:
            os.kill(os.getpid(), signal.SIGTERM)
            ctx.set_result("after", 1)
        """
    )

    assert (done.code, done.out) == (0, "mine\n"), done.err


def test_leaving_without_finishing_is_interrupted(lab, interpreter):
    done = interpreter(
        """
        import os, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        contexts = [exp.Run(id=name).start() for name in ("one", "two")]
        contexts[0].set_result("x", 1)
        contexts[0].log("train").append("a line")
        contexts[1].finish()
        """
    )

    assert done.code == 0, done.err
    workspace = lab.load()
    one = workspace.run("p/e/one")
    assert one.status == "interrupted"
    assert one.execution_history[0]["reason"] == "its process ended without finishing it"
    assert (one.results, one.logs["train"].text()) == ({"x": 1}, "a line\n")
    assert workspace.run("p/e/two").status == "succeeded"


def test_an_error_outside_of_the_block_leaves_the_run_interrupted(lab, interpreter):
    done = interpreter(
        """
        import os, molexp as me
        ctx = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start()
        ctx.set_result("x", 1)
        raise RuntimeError("elsewhere")
        """
    )

    assert done.code == 1
    assert (lab.load().run("p/e/one").status, lab.load().run("p/e/one").results) == ("interrupted", {"x": 1})


def test_a_process_that_died_without_a_word_is_noticed_at_once(lab, script):
    done = script(
        """
        import os, molexp as me
        ctx = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start()
        ctx.set_result("x", 1)
        os._exit(7)
        """
    )
    assert done.code == 7

    assert lab.load(read_only=True).run("p/e/one").status == "interrupted"
    assert not lab.store.exists("projects/p/experiments/e/runs/one/executions/1.end.json"), "to look is not to write"
    run = lab.load().run("p/e/one")
    assert (run.status, run.results) == ("interrupted", {"x": 1})
    (entry,) = run.execution_history
    assert "is gone" in entry["reason"]
    assert entry["ended_by"]["pid"] == os.getpid()
    with run.start() as ctx:
        assert ctx.attempt == 2


def test_exit_codes_are_the_scripts_own(lab, interpreter):
    assert (
        interpreter("""
        import os, sys, molexp as me
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start():
            sys.exit(3)
    """).code
        == 3
    )
    assert lab.load().run("p/e/one").status == "failed"


def test_a_forked_child_is_inert(lab, script):
    done = script(
        """
        import os, sys, molexp as me
        run = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one")
        with run.start() as ctx:
            ctx.set_result("parent", 1)
            log = ctx.log("train")
            log.append("parent")
            sys.stdout.flush()
            child = os.fork()
            if child == 0:
                refused = []
                for write in (
                    lambda: ctx.set_result("child", 1),
                    lambda: log.append("child"),
                    lambda: ctx.artifact.save("a.txt", "child"),
                    lambda: ctx.metrics.log(loss=1),
                    lambda: ctx.flush(),
                ):
                    try:
                        write()
                    except me.ContextClosedError as error:
                        refused.append("forked" in str(error))
                ctx.__exit__(None, None, None)
                ctx.finish("failed")
                print(refused, flush=True)
                sys.exit(0)  # its atexit handlers run, and leave the parent's attempt alone
            assert os.waitpid(child, 0)[1] == 0
            assert run.status == "running"
            ctx.set_result("after", 1)
        """
    )

    assert done.code == 0, done.err
    assert done.out == "[True, True, True, True, True]\n"
    run = lab.load().run("p/e/one")
    assert run.status == "succeeded"
    assert run.results == {"parent": 1, "after": 1}
    assert run.logs["train"].text() == "parent\n"
    assert [asset.name for asset in run.assets] == ["train"]


def test_a_forked_child_can_track_runs_of_its_own(lab, script):
    done = script(
        """
        import os, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        with exp.Run(id="parent").start() as ctx:
            child = os.fork()
            if child == 0:
                with exp.Run(id="child").start() as mine:
                    mine.set_result("pid", os.getpid())
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            ctx.set_result("child", child)
        """
    )

    assert done.code == 0, done.err
    workspace = lab.load()
    child = workspace.run("p/e/child")
    assert (child.status, workspace.run("p/e/parent").status) == ("succeeded", "succeeded")
    assert child.results["pid"] == workspace.run("p/e/parent").results["child"]
    assert child.execution_history[0]["pid"] == child.results["pid"]
    assert {row.path for row in workspace.catalog.runs()} == {"p/e/child", "p/e/parent"}


def test_a_cancel_request_reaches_the_owner_with_a_beat(lab, script):
    done = script(
        """
        import os, time, molexp as me
        run = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one")
        with run.start() as ctx:
            me.Workspace.load(os.environ["LAB"]).run("p/e/one").cancel("too expensive")
            for step in range(2000):
                ctx.set_result("step", step)
                time.sleep(0.01)
        """,
        MOLEXP_LEASE_BEAT="0.05",
    )

    assert done.code == 1
    assert "RunCancelledError" in done.err
    run = lab.load().run("p/e/one")
    assert (run.status, run.execution_history[0]["reason"]) == ("cancelled", "too expensive")
    assert list((lab.folder / ".molexp").rglob("live/*")) == [], "the lease is removed with the end"


def test_a_live_run_of_another_process_is_busy_also_after_both_were_suspended(lab, monkeypatch):
    """Looked at while it runs, through its own process's eyes and ours."""
    reading, writing = os.pipe()
    hold, release = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            dedent("""
            import os, molexp as me
            with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start() as ctx:
                ctx.set_result("x", 1)
                os.write(int(os.environ["READY"]), b"!")
                os.read(int(os.environ["HOLD"]), 1)
            """),
        ],
        env={**os.environ, "LAB": lab.url, "READY": str(writing), "HOLD": str(hold)},
        pass_fds=[writing, hold],
    )
    try:
        assert os.read(reading, 1) == b"!"
        run = lab.load().run("p/e/one")
        assert (run.status, run.results) == ("running", {"x": 1})
        suspend(monkeypatch, 8 * 3600.0)
        assert (run.status, lab.load().catalog.runs()[0].status) == ("running", "running")
        with pytest.raises(me.RunBusyError) as caught:
            run.start()
        assert caught.value.pid == process.pid
        with pytest.raises(me.RunBusyError):
            run.delete()
        os.write(release, b"!")
        with run.start(wait=DEADLINE) as ctx:
            assert ctx.attempt == 2
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
        for number in (reading, writing, hold, release):
            os.close(number)
    assert [entry["status"] for entry in run.execution_history] == ["succeeded", "succeeded"]
