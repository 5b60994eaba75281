"""Scripts of users, in processes of their own: guards, Ctrl-C, and how a parent may end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from textwrap import dedent

import pytest

from tests.executors.counting import ending, is_there

HEAD = """
import asyncio, os, signal, sys, threading
from molexp.contracts import Call
from molexp.plugins import default_manager

InlineExecutor, ProcessExecutor = map(default_manager().executor, ("inline", "process"))

print("top", flush=True)

def pid():
    return os.getpid()

def wait():
    print("waiting", os.getpid(), flush=True)
    threading.Event().wait()

async def submit(function=pid, number=1, executor=None):
    executor = executor or ProcessExecutor(workers=2)
    for outcome in await asyncio.gather(*(executor.submit(Call(function)) for _ in range(number))):
        print(outcome.error or "fine", flush=True)
    return executor
"""
GUARD = 'if __name__ == "__main__":'


@pytest.fixture
def script(tmp_path):
    def write(body):
        path = tmp_path / "script.py"
        path.write_text(HEAD + dedent(body))
        return path

    return write


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,
    )


@pytest.fixture
def started():
    """A script that waits in a worker: its process, and the worker's id."""
    processes = []

    def start(path):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if line.startswith("waiting"):
                return process, int(line.split()[1])
        raise AssertionError(process.stderr.read())

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


# ------------------------------------------------------------------------------------------------------------- guards


def test_functions_of_the_script_work_below_its_guard(script):
    done = run(script(f"{GUARD}\n    asyncio.run(submit(number=3))"))
    assert done.stdout.splitlines().count("fine") == 3
    assert done.stderr == ""
    assert done.returncode == 0  # and it ends, though nobody closed the executor


@pytest.mark.parametrize(
    "body",
    [
        "asyncio.run(submit(number=3))",
        "try:\n    asyncio.run(submit(number=3))\nfinally:\n    pass",
        "log = __name__\nthread = threading.Thread(target=lambda: asyncio.run(submit(number=3)))\nthread.start()\nthread.join()",
    ],
    ids=["plain", "try", "thread"],
)
def test_a_script_without_a_guard_gets_one_sentence_and_runs_once(script, body):
    path = script(body)
    done = run(path)
    told = done.stdout.splitlines()
    assert told[0] == "top"
    assert len(told) == 4
    advice = f"Worker processes import your script, {path}, which would start its work again in each of them: "
    assert set(told[1:]) == {advice + f"put the code that starts it below `{GUARD}`."}
    assert done.stderr == ""


def test_a_guard_that_guards_something_else_gets_the_same_sentence(script):
    done = run(script(f"{GUARD}\n    print('main')\nasyncio.run(submit(number=3))"))
    told = done.stdout.splitlines()
    assert sum("would start its work again" in line for line in told) == 3
    assert told.count("top") == 2, "one worker was tried"
    assert done.stderr == ""


def test_a_script_that_workers_cannot_import_shows_one_traceback(script):
    done = run(script(f"{GUARD}\n    asyncio.run(submit(number=3))\nelse:\n    raise RuntimeError('not here')"))
    told = [line for line in done.stdout.splitlines() if line != "top"]
    assert len(told) == 3
    assert all("ended with exit code 1 before it was ready" in line for line in told)
    assert done.stderr.count("RuntimeError: not here") == 1


def test_functions_of_no_file_are_told_where_to_stand():
    done = run("-c", HEAD + "asyncio.run(submit())")
    assert "a worker could not load it (AttributeError" in done.stdout
    assert "not in an interactive session" in done.stdout
    assert done.stderr == ""


# --------------------------------------------------------------------------------------------------------------- ends


def test_workers_leave_when_their_parent_is_killed_in_the_middle_of_a_call(script, started):
    process, worker = started(script(f"{GUARD}\n    asyncio.run(submit(wait))"))
    with ending(worker):
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, the interpreter's lock is waited for, as the docs say")
def test_workers_leave_when_their_parent_is_killed_while_native_code_holds_the_interpreters_lock(script, started):
    body = f"""
    import ctypes

    def hold():
        print("waiting", os.getpid(), flush=True)
        ctypes.PyDLL(None).sleep(50)

    {GUARD}
        asyncio.run(submit(hold))
    """
    process, worker = started(script(body))
    with ending(worker):
        process.kill()


def test_ctrl_c_is_for_the_parent_alone(script, started):
    body = f"""
    {GUARD}
        try:
            asyncio.run(submit(wait))
        except KeyboardInterrupt:
            print("interrupted")
    """
    process, worker = started(script(body))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert out.splitlines() == ["interrupted"]
    assert err == ""
    assert not is_there(worker)


def test_ctrl_c_that_the_parent_ignores_disturbs_no_call(script, started, tmp_path):
    body = f"""
    fifo = {str(tmp_path / "fifo")!r}

    def hear():
        print("waiting", os.getpid(), flush=True)
        with open(fifo) as source:
            source.read()

    def speak(*_):
        open(fifo, "w").close()

    {GUARD}
        os.mkfifo(fifo)
        signal.signal(signal.SIGINT, speak)
        asyncio.run(submit(hear))
    """
    process, _ = started(script(body))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert out.splitlines() == ["fine"]
    assert err == ""


def test_a_stuck_thread_does_not_keep_the_interpreter(script):
    body = """
    async def give_up():
        executor = InlineExecutor()
        try:
            await asyncio.wait_for(executor.submit(Call(threading.Event().wait)), 0.01)
        except TimeoutError:
            print("given up")

    asyncio.run(give_up())
    """
    done = run(script(body))
    assert done.stdout.splitlines() == ["top", "given up"]
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_forked_process_has_workers_of_its_own(script):
    body = f"""
    {GUARD}
        executor = ProcessExecutor(workers=1)
        first = asyncio.run(executor.submit(Call(pid))).value
        child = os.fork()
        if child == 0:
            other = asyncio.run(executor.submit(Call(pid))).value
            asyncio.run(executor.close())
            os._exit(0 if other not in (None, first) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert asyncio.run(executor.submit(Call(pid))).value == first
        print("done")
    """
    done = subprocess.run([sys.executable, str(script(body))], capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.splitlines()[-1] == "done", done.stderr


def test_executors_within_executors_end(script):
    body = f"""
    def nested():
        return asyncio.run(ProcessExecutor(workers=1).submit(Call(pid))).value

    {GUARD}
        asyncio.run(submit(nested))
    """
    done = run(script(body))
    assert done.stdout.splitlines().count("fine") == 1
    assert (done.stderr, done.returncode) == ("", 0)
