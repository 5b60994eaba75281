"""capture=True records standard output and error at file-descriptor level, and still shows them. In real processes."""

from __future__ import annotations

import sys

import pytest

import molexp as me

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="file descriptors of POSIX")

SPEAK = """
    import os, subprocess, sys, molexp as me
    run = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one")
    print("before")
    with run.start(capture=True):
        print("printed", flush=True)
        os.write(1, b"from C\\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        subprocess.run("echo complaint >&2", shell=True, check=True)
        print("no newline", end="")
    print("after")
"""


def test_everything_is_recorded_and_still_shown(lab, interpreter):
    done = interpreter(SPEAK)

    assert done.code == 0, done.err
    assert done.out == "before\nprinted\nfrom C\nfrom a child\nno newlineafter\n"
    assert done.err == "complaint\n"
    run = lab.load().run("p/e/one")
    assert run.logs["stdout"].text() == "printed\nfrom C\nfrom a child\nno newline"
    assert run.logs["stderr"].text() == "complaint\n"
    stdout = run.asset("stdout")
    assert stdout.size == len(run.logs["stdout"].text())


def test_what_was_captured_survives_a_kill(lab, script):
    done = script(
        """
        import os, signal, molexp as me
        run = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one")
        with run.start(capture=True):
            os.write(1, b"the last words\\n")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )

    assert done.code == -9
    run = lab.load().run("p/e/one")
    assert run.status == "interrupted"
    assert run.logs["stdout"].text() == "the last words\n"


def test_a_traceback_that_ends_the_block_is_no_output_of_the_run(lab, script):
    done = script(
        """
        import os, molexp as me
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start(capture=True):
            print("before it broke")
            raise RuntimeError("broken")
        """
    )

    assert done.code == 1
    assert "RuntimeError: broken" in done.err
    run = lab.load().run("p/e/one")
    assert run.status == "failed"
    assert run.logs["stdout"].text() == "before it broke\n"


def test_the_streams_are_given_back_after_each_run(lab, script):
    done = script(
        """
        import os, sys, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        for name in "ab":
            with exp.Run(id=name).start(capture=True):
                print("in", name)
            print("between")
        import threading
        names = {thread.name for thread in threading.enumerate()}
        assert "molexp-echo" not in names, names
        assert len(os.listdir("/proc/self/fd")) < 12, os.listdir("/proc/self/fd")
        """
    )

    assert (done.code, done.out) == (0, "in a\nbetween\nin b\nbetween\n"), done.err
    workspace = lab.load()
    assert [workspace.run(f"p/e/{name}").logs["stdout"].text() for name in "ab"] == ["in a\n", "in b\n"]


def test_only_one_run_at_a_time_can_capture(lab, script):
    done = script(
        """
        import os, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        with exp.Run(id="a").start(capture=True):
            try:
                exp.Run(id="b").start(capture=True)
            except me.RunError as error:
                assert "capture=False" in str(error), error
                print(exp.run("b").status)
            with exp.Run(id="c").start():
                print("c")
        """
    )

    assert (done.code, done.out) == (0, "failed\nc\n"), done.err


def test_much_output_is_neither_lost_nor_held_in_memory(lab, script):
    done = script(
        """
        import os, molexp as me
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start(capture=True):
            for number in range(100_000):
                print(f"line {number}")
        """
    )

    expected = "".join(f"line {number}\n" for number in range(100_000))
    assert done.out == expected
    assert lab.load().run("p/e/one").logs["stdout"].text() == expected


def test_under_a_replaced_stdout_too(run, capsys):
    """As in Jupyter, in an IDE, under pytest: what print() writes does not reach the descriptor by itself."""
    with run.start(capture=True):
        print("shown and recorded")
    print("afterwards")

    assert capsys.readouterr().out == "shown and recorded\nafterwards\n"
    assert run.logs["stdout"].text() == "shown and recorded\n"


def test_without_it_nothing_is_recorded(lab, script):
    script(SPEAK.replace("capture=True", ""))

    assert dict(lab.load().run("p/e/one").logs) == {}


def test_it_belongs_to_start_alone(run):
    with pytest.raises(TypeError):
        run.start(True)
    assert run.status == me.RunStatus.PENDING
