"""ctx.shell runs commands and records them: argv, exit code, times, both streams."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import molexp as me

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands of POSIX")

BOTH = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(int(sys.argv[1]))"]


def test_argv_exit_code_and_both_streams_are_recorded(run):
    with run.start() as ctx:
        assert ctx.shell([*BOTH, "0"]) == 0
        assert run.logs["shell"].text() == "out\n"  # while the run goes on

    assert run.logs["shell"].text() == "out\n"
    assert run.logs["shell.err"].text() == "err\n"
    (command,) = run.execution_history[0]["commands"]
    assert command["command"] == [*BOTH, "0"]
    assert (command["exit_code"], command["timed_out"], command["log"]) == (0, False, "shell")
    assert command["started_at"] <= command["ended_at"]


def test_output_is_read_while_the_run_goes_on_in_memory_too(tmp_path):
    run = me.Workspace(f"memory://{tmp_path.name}").Project("p").Experiment("e").Run()
    with run.start() as ctx:
        ctx.shell(["echo", "out"])
        assert run.logs["shell"].text() == "out\n"


def test_sequences_are_no_shell_and_texts_are(run):
    with run.start() as ctx:
        ctx.shell(["echo", "$HOME; echo two", Path("a b")], log="argv")
        ctx.shell("echo one; echo two | tr a-z A-Z", log="text")

    assert run.logs["argv"].text() == "$HOME; echo two a b\n"
    assert run.logs["text"].text() == "one\nTWO\n"


def test_a_failure_raises_with_what_is_needed_to_understand_it(run):
    with run.start() as ctx, pytest.raises(me.CommandError, match=r"exit code 3.*log 'shell'") as caught:
        ctx.shell([*BOTH, "3"])
    error = caught.value

    assert (error.exit_code, error.log, error.tail, error.timeout) == (3, "shell", "err", None)
    assert str(error).endswith("err")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is me.CommandError
    assert (str(again), again.exit_code, again.command) == (str(error), 3, error.command)
    assert run.execution_history[0]["commands"][0]["exit_code"] == 3


def test_without_check_the_exit_code_comes_back(run):
    with run.start() as ctx:
        assert ctx.shell([*BOTH, "3"], check=False) == 3
        assert ctx.shell("kill -9 $$", check=False) == -9

    assert run.status == "succeeded"


def test_the_exit_code_is_known_where_sigchld_is_ignored(run):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with run.start() as ctx:
            assert ctx.shell([*BOTH, "3"], check=False) == 3
            assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
            with ThreadPoolExecutor(1) as threads, pytest.raises(RuntimeError, match="SIGCHLD is ignored"):
                threads.submit(ctx.shell, [*BOTH, "3"], check=False).result()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert [command["exit_code"] for command in run.execution_history[0]["commands"]] == [3]


def test_the_tail_is_of_this_command_alone(run):
    with run.start() as ctx:
        ctx.shell("echo earlier >&2")
        with pytest.raises(me.CommandError) as caught:
            ctx.shell("for n in $(seq 100); do echo line $n >&2; done; exit 1")

    assert caught.value.tail.splitlines() == [f"line {n}" for n in range(81, 101)]


@pytest.mark.parametrize(
    ("command", "timeout", "error"),
    [([], None, ValueError), (["true"], "1", TypeError), (["true"], float("nan"), ValueError)],
)
def test_nothing_to_run_and_no_number_of_seconds_are_told_before_anything_runs(run, command, timeout, error):
    with run.start() as ctx, pytest.raises(error, match=r"no command to run|a number of seconds"):
        ctx.shell(command, timeout=timeout)
    assert "commands" not in run.execution_history[0]


def test_a_missing_program_is_a_plain_error(run):
    with run.start() as ctx, pytest.raises(FileNotFoundError, match="no-such-program"):
        ctx.shell(["no-such-program"])


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_a_timeout_kills_the_command_and_its_children(run, tmp_path):
    mark = tmp_path / "pid"
    for limit in (0.3, 3, 30):  # the longer ones where a shell takes long to start
        started = time.monotonic()
        with run.start() as ctx, pytest.raises(me.CommandError, match=f"longer than {limit} s") as caught:
            ctx.shell(f"sleep 3000 & echo $! > {mark}; wait", timeout=limit)
        if mark.exists() and mark.read_text():
            break

    assert time.monotonic() - started < 2000
    assert caught.value.exit_code is None
    assert run.execution_history[-1]["commands"][0]["timed_out"] is True
    child = int(mark.read_text())
    until = time.monotonic() + 300  # a killed process that waits for a processor is not gone yet
    while _lives(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not _lives(child)


def test_it_runs_in_the_workdir_unless_told_otherwise(run, tmp_path):
    with run.start() as ctx:
        ctx.shell("pwd", log="default")
        ctx.shell("pwd", log="told", cwd=tmp_path)
        assert ctx.log("default").text().strip() == str(ctx.workdir)

    assert run.logs["told"].text().strip() == str(tmp_path)


def test_variables_are_given_and_their_values_not_recorded(lab, lab_run):
    with lab_run.start() as ctx:
        ctx.shell('test "$TOKEN" = hunter2', env={"TOKEN": "hunter2"})

    assert not [key for key, data in lab.everything().items() if key.startswith("projects/") and b'"hunter2"' in data]


def test_output_goes_to_the_same_log_as_lines_of_ours(run):
    with run.start() as ctx:
        ctx.log("relax").append("before")
        ctx.shell("echo during", log="relax")
        ctx.log("relax").append("after")

    assert run.logs["relax"].text() == "before\nduring\nafter\n"
    assert run.asset("relax").size == len("before\nduring\nafter\n")


# -------------------------------------------------------------------------------------------------------------- workdir


def test_the_workdir_is_private_local_and_removed_on_success(run):
    with run.start() as ctx:
        folder = ctx.workdir
        assert folder.is_dir()
        assert folder == ctx.workdir
        assert os.path.realpath(folder) != os.path.realpath(Path.cwd())
        (folder / "scratch").write_text("x")

    assert not folder.exists()
    assert "workdir" not in run.execution_history[0]


def test_a_workdir_that_the_block_removed_is_made_anew(run):
    with run.start() as ctx:
        folder = ctx.workdir
        shutil.rmtree(folder)
        assert ctx.shell(["true"]) == 0
        assert ctx.workdir == folder
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_the_workdir_is_kept_and_recorded_on_failure(run):
    with pytest.raises(ZeroDivisionError), run.start() as ctx:
        (ctx.workdir / "scratch").write_text("x")
        1 / 0  # noqa: B018

    kept = Path(run.execution_history[0]["workdir"])
    assert (kept / "scratch").read_text() == "x"


def test_a_run_that_does_not_use_it_has_none(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, run.start() as ctx:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        ctx.set_result("x", 1)
        assert not list(tmp_path.glob("molexp-*"))


def command_of(pid: str) -> str:
    """The command line of a process; "" if there is none. The number may be another process's by now."""
    try:
        return Path("/proc", pid, "cmdline").read_text()
    except OSError:
        return ""


def test_interrupting_the_wait_ends_the_command(lab, script, tmp_path):
    done = script(
        f"""
        import os, signal, threading, molexp as me
        run = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one")
        with run.start() as ctx:
            os.mkfifo("fifo")
            def interrupt():
                open("fifo").read(1)
                os.kill(os.getpid(), signal.SIGTERM)
            threading.Thread(target=interrupt, daemon=True).start()
            ctx.shell("echo $$ > pid; echo > fifo; exec sleep 3000", cwd={str(tmp_path)!r})
        """
    )

    assert done.code == 143, done.err
    assert "sleep" not in command_of((tmp_path / "pid").read_text().strip())
    assert lab.load().run("p/e/one").status == "interrupted"
